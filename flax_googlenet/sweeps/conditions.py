"""The conditions of a run: device, commit and versions."""

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
    root = pathlib.Path(__file__).parents[2]
    head, _, prefix = _git(root, "rev-parse", "--short", "HEAD", "--show-prefix").partition("\n")
    if not head or prefix.strip():  # a directory of another repository, such as one with an environment
        return ""
    return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")


def _git(root: pathlib.Path, *arguments: str) -> str:
    try:
        found = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
