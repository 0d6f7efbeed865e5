"""The conditions of a measurement: the code, the versions, the machine and its load."""

import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from flax_googlenet.errors import UserError
from flax_googlenet.paths import local_path

REPOSITORY = pathlib.Path(__file__).parent.parent


def conditions(
    packages: Iterable[str] = (),
    *,
    checkout: pathlib.Path = REPOSITORY,
    device: str = "",
    load_before: float | None = None,
    others: float | None = None,
) -> dict[str, Any]:
    """Return the conditions of a measurement, ready for JSON.

    Args:
      packages: distributions whose versions are included after JAX's, if they are installed.
      checkout: clone of the project whose code is measured.
      device: the accelerator or CPU; "" for JAX's devices.
      load_before: load average before the measurement.
      others: share of the cores that other processes used during the measurement.
    """
    measured = {"load_average_before": load_before, "others": others}
    return {
        "commit": commit_of(checkout),
        "dirty": bool(_git(checkout, "status", "--porcelain")),
        "versions": {"Python": platform.python_version()} | _versions(("jax", *packages)),
        "device": device or f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load_average": round(os.getloadavg()[0], 1),
        **{name: round(value, 3) for name, value in measured.items() if value is not None},
    }


def clone_at(path: str) -> pathlib.Path:
    """Return the absolute path of a clone of the project.

    Raises:
      UserError: if there is none.
    """
    checkout = pathlib.Path(path).resolve()
    if not (checkout / "launch/train.py").is_file():
        raise UserError(f"{checkout} is not a clone of the project; choose another --checkout.")
    return checkout


def commit_of(checkout: pathlib.Path) -> str:
    """Return the short name of the commit that a clone has checked out; "" if it is no repository."""
    return _git(checkout, "rev-parse", "--short", "HEAD")


def describe(measured_under: Mapping[str, Any]) -> str:
    """Return conditions as one line of text; old results lack a commit or a load average.

    >>> describe({"commit": "abc", "dirty": True, "versions": {"jax": "1"}, "device": "1 x cpu", "cores": 2,
    ...           "machine": "x86_64", "load_average": 0.5})
    'Commit abc with changes; 1 x cpu, 2 cores, x86_64; load average 0.5; jax 1.'
    """
    commit, load = measured_under["commit"], measured_under["load_average"]
    before, others = measured_under.get("load_average_before"), measured_under.get("others")
    parts = [
        f"commit {commit}{' with changes' if measured_under['dirty'] else ''}" if commit else "",
        f"{measured_under['device']}, {measured_under['cores']} cores, {measured_under['machine']}",
        f"load average {f'{before:.1f} before, {load} after' if before is not None else load}"
        if load is not None
        else "",
        f"other processes used {others:.0%} of the cores" if others is not None else "",
        ", ".join(f"{name} {version}" for name, version in measured_under["versions"].items()),
    ]
    line = "; ".join(filter(None, parts))
    return f"{line[0].upper()}{line[1:]}."


def write_result(path: str | None, result: Mapping[str, Any]) -> None:
    """Write a result file, unless the path is None or empty.

    Raises:
      UserError: if the file cannot be written.
    """
    if not path:
        return
    try:
        local_path(path).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}; choose another --out.") from error


def _versions(packages: Iterable[str]) -> dict[str, str]:
    versions = {}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _git(checkout: pathlib.Path, *arguments: str) -> str:
    command = ["git", "-C", str(checkout), *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    return process.stdout.strip()
