"""The conditions of a run: devices, commit and versions."""

import functools
import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import jax

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")


@functools.cache
def conditions() -> dict[str, Any]:
    """Return "device", "commit" and "versions" of this process.

    The commit is that of the clone that the library is imported from, with a "+" if files have changed since;
    "" if it is imported from elsewhere.

    >>> sorted(conditions())
    ['commit', 'device', 'versions']
    """
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **versions},
    }


def _commit() -> str:
    root = pathlib.Path(__file__).parents[3]
    if not (root / ".git").exists():  # its parent may still be another repository, that of an environment
        return ""
    head = _git(root, "rev-parse", "HEAD")[:10]
    return head + ("+" if head and _git(root, "status", "-s", "-uno") else "")


def _git(root: pathlib.Path, *arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
