"""JAX's persistent compilation cache, on for every command: what was compiled once is read the next time."""

import contextlib
import functools
import hashlib
import logging
import pathlib
import platform
import warnings
from typing import Any

import jax
import platformdirs
from absl import flags

logger = logging.getLogger(__name__)

# Of all programs together; a training step takes a megabyte.
LIMIT_BYTES = 1 << 30

_MIN_SECONDS = 0.1  # what is compiled faster is not worth a file

_DIRECTORY = flags.DEFINE_string(
    "compilation_cache",
    str(platformdirs.user_cache_path("flax_googlenet") / "compilation"),
    "Where compiled programs are kept for the next time; empty or none: nowhere. The default gives way to "
    "JAX_COMPILATION_CACHE_DIR.",
)


def flag() -> Any:
    """Return the flag of every command that moves or disables the cache."""
    return flags.FLAGS[_DIRECTORY.name]


def turn_on() -> None:
    """Have JAX keep the programs that it compiles from now on, and use those that it kept.

    Without a directory that can be written to, it compiles as ever.
    """
    if _DIRECTORY.value in ("", "none"):
        jax.config.update("jax_enable_compilation_cache", False)
        return
    settings: Any = jax.config  # whose attributes are made at run time
    if settings.jax_compilation_cache_dir and not _DIRECTORY.present:
        return
    # JAX's keys do not tell processors apart, and a home directory may be shared by several.
    directory = pathlib.Path(_DIRECTORY.value).expanduser() / _processor()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning(f"compiled programs are not kept: {directory} cannot be made: {error.strerror}")
        return
    _bound(directory, LIMIT_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_SECONDS)
    _mend_when_told(directory)


def _processor() -> str:
    """Return a name for this kind of processor."""
    described = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        information = pathlib.Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        described += "".join(
            line for line in information if line.startswith(("model name", "flags", "Features"))
        )
    return f"{platform.machine()}-{hashlib.sha256(described.encode()).hexdigest()[:12]}"


def _bound(directory: pathlib.Path, limit: int) -> None:
    """Remove the programs that were not used for longest, until the others have `limit` bytes at most.

    JAX can do so itself, but needs another package for it, and a kill at the wrong moment keeps it from ever
    writing again.
    """
    files = [(path, path.stat()) for path in _programs(directory)]
    total = sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda file: max(file[1].st_atime, file[1].st_mtime)):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= status.st_size


def _mend_when_told(directory: pathlib.Path) -> None:
    """Empty the cache when JAX warns that an entry cannot be read: it would never replace it.

    A process that is killed or a disk that is full leaves such entries.
    """
    show = warnings.showwarning

    @functools.wraps(show)
    def showwarning(message: Any, *arguments: Any, **options: Any) -> None:
        if "persistent compilation cache entry" not in str(message):
            show(message, *arguments, **options)
            return
        for path in _programs(directory):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        logger.warning(f"the compilation cache in {directory} was emptied; {message}")

    warnings.showwarning = showwarning
    warnings.filterwarnings("always", "Error .* persistent compilation cache entry")


def _programs(directory: pathlib.Path) -> list[pathlib.Path]:
    return list(directory.glob("*-cache"))
