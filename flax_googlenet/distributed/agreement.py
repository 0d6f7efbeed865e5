"""Checks that all processes of a run do the same thing in the same place."""

import functools
import hashlib
import json
import pathlib
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from etils import epath

from flax_googlenet.distributed.coordination import (
    describe,
    exchange,
    meet,
    process_count,
    process_index,
    processes,
)
from flax_googlenet.errors import UserError

_LIBRARY = pathlib.Path(__file__).parents[1]

# Seconds until a file that one host wrote must be visible on another. NFS caches directories for a minute.
_VISIBLE = 90.0


def check_agreement(settings: Mapping[str, Any]) -> None:
    """Check that all processes run the same code with the same settings.

    Args:
      settings: by name, values that JSON can hold.

    Raises:
      UserError: if two processes differ, with the first difference.
    """
    if process_count() == 1:
        return
    facts = {
        "the code of flax_googlenet": _digest_of_library(),
        "the version of jax": jax.__version__,
        "the version of numpy": np.__version__,
        **settings,
    }
    first, *others = map(json.loads, exchange("settings", json.dumps(facts)))
    for index, other in zip(processes()[1:], others, strict=True):
        for name in (*first, *(other.keys() - first.keys())):
            here, there = first.get(name), other.get(name)
            if here != there:
                raise UserError(
                    f"{describe(0)} and {describe(index)} differ in {name}, which is {here!r} and {there!r}; "
                    "start all processes with the same command, environment and clone, in a workdir that "
                    "they share."
                )


def check_shared(directory: epath.Path) -> None:
    """Check that a directory is the same for all processes.

    Args:
      directory: an existing directory of the first process.

    Raises:
      UserError: if another process does not find there what the first one has written.
    """
    if process_count() == 1:
        return
    name, *_ = exchange("probe of the workdir", f".shared-{uuid.uuid4().hex}")
    probe = directory / name
    if process_index() == 0:
        probe.write_bytes(b"")
    meet("probe in the workdir")
    end = time.monotonic() + _VISIBLE
    while not (found := probe.exists()) and time.monotonic() < end:
        time.sleep(0.5)
    answers = exchange("view of the workdir", json.dumps(found), deadline=2 * _VISIBLE)
    if process_index() == 0:
        probe.unlink()
    for index, answer in zip(processes(), answers, strict=True):
        if not json.loads(answer):
            raise UserError(
                f"{directory} of {describe(index)} is not that of {describe(0)}; choose a workdir that all "
                "processes share, on a network file system or in a bucket."
            )


@functools.cache
def _digest_of_library() -> str:
    digest = hashlib.sha256()
    for path in sorted(_LIBRARY.rglob("*.py")):
        digest.update(str(path.relative_to(_LIBRARY)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
