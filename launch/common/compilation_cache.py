"""JAX's persistent compilation cache, which every command turns on."""

import contextlib
import functools
import hashlib
import logging
import pathlib
import platform
import warnings
from typing import Any

import jax
import numpy as np
import platformdirs
from absl import flags
from jax._src import cache_key  # the parts of a key have no public interface

logger = logging.getLogger(__name__)

# Limit of the whole cache. A training step takes about a megabyte.
LIMIT_BYTES = 1 << 30

_MIN_SECONDS = 0.1  # a program that compiles faster is not worth a file

_DIRECTORY = flags.DEFINE_string(
    "compilation_cache",
    str(platformdirs.user_cache_path("flax_googlenet") / "compilation"),
    "Directory for compiled programs, so that later commands start faster; none disables it. "
    "JAX_COMPILATION_CACHE_DIR replaces the default.",
)


def flag() -> Any:
    """Return the flag of every command that chooses the directory of the cache."""
    return flags.FLAGS[_DIRECTORY.name]


def turn_on() -> None:
    """Make JAX store the programs that it compiles and reuse stored ones.

    If its directory cannot be made, warn and continue without the cache.
    """
    if _DIRECTORY.value in ("", "none"):
        jax.config.update("jax_enable_compilation_cache", False)
        return
    _serve_all_processes()
    settings: Any = jax.config  # its attributes are defined at run time
    if settings.jax_compilation_cache_dir and not _DIRECTORY.present:
        return
    # JAX's keys are the same on every processor, and machines may share a home directory.
    directory = pathlib.Path(_DIRECTORY.value).expanduser() / _processor()
    if "://" in _DIRECTORY.value:
        logger.warning(f"compiled programs are not kept: {_DIRECTORY.value} is not on this machine")
        return
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning(f"compiled programs are not kept: cannot make {directory}: {error.strerror}")
        return
    _bound(directory, LIMIT_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_SECONDS)
    _empty_if_corrupt(directory)


def _serve_all_processes() -> None:
    """Give all processes of a run on CPUs the same keys.

    JAX's keys have a fingerprint of the devices, which differs between processes on CPUs, and only process 0
    writes programs. The others would compile at every start.
    """
    hash_config = cache_key._hash_accelerator_config

    def hash_devices(hash_object: Any, devices: np.ndarray) -> None:
        if any(device.platform != "cpu" for device in devices.flat):
            hash_config(hash_object, devices)
            return
        places = [(device.process_index, device.id) for device in devices.flat]
        hash_object.update(f"{_processor()} {places}".encode())

    cache_key._hash_accelerator_config = hash_devices  # type: ignore[assignment]


@functools.cache
def _processor() -> str:
    """Return a name for this model of processor."""
    description = platform.machine() + platform.processor()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
        description += "".join(line for line in lines if line.startswith(("model name", "flags", "Features")))
    return f"{platform.machine()}-{hashlib.sha256(description.encode()).hexdigest()[:12]}"


def _bound(directory: pathlib.Path, limit: int) -> None:
    """Remove the least recently used programs until the others fit in `limit` bytes.

    JAX's own limit needs another package, and a process killed at the wrong moment leaves a lock that keeps
    later ones from writing.
    """
    files = [(path, path.stat()) for path in _programs(directory)]
    total = sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda file: max(file[1].st_atime, file[1].st_mtime)):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= status.st_size


def _empty_if_corrupt(directory: pathlib.Path) -> None:
    """Empty the cache as soon as JAX warns that it cannot read an entry, which it would never replace.

    A killed process or a full disk leaves such entries.
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
