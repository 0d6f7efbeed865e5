"""Digests of a checkpoint's files: Orbax's arrays carry no checksum of their own."""

import hashlib
import json

from etils import epath

from flax_googlenet.errors import UserError

DIGESTS = "digests.json"
ITEMS = ("weights", "optimizer", "description")


def write_digests(checkpoint: epath.Path) -> None:
    """Write the SHA-256 of every file of every item to `digests.json`."""
    digests = {name: sha256(path) for name, path in _files_of_items(checkpoint).items()}
    (checkpoint / DIGESTS).write_text(json.dumps(digests, indent=1, sort_keys=True))


def verify_digests(checkpoint: epath.Path) -> None:
    """Compare every file of a checkpoint with its digest.

    A digest without a file and a file without a digest are both refused, so that nothing is
    read that was not checked.

    Raises:
      UserError: a file is missing or changed, or has no digest; it is named.
    """
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text())
    except (OSError, ValueError) as error:
        raise _untrusted(checkpoint, "cannot be read") from error
    if not isinstance(digests, dict):
        raise _untrusted(checkpoint, "is not a table of digests")
    files = _files_of_items(checkpoint)
    for item in ITEMS:
        if not any(name.startswith(f"{item}/") for name in files):
            raise _damaged(checkpoint, checkpoint / item, "it is missing")
    for name in sorted(digests.keys() | files.keys()):
        path = checkpoint / name
        if name not in digests:
            raise _untrusted(checkpoint, f"has no digest of {path}")
        if name not in files or sha256(path) != digests[name]:
            raise _damaged(checkpoint, path, "it is not the file that was saved")


def _untrusted(checkpoint: epath.Path, reason: str) -> UserError:
    return UserError(
        f"{checkpoint / DIGESTS} {reason}, so the checkpoint cannot be trusted; use another one, or delete "
        f"{checkpoint} to go on from the one before."
    )


def _damaged(checkpoint: epath.Path, path: epath.Path, reason: str) -> UserError:
    return UserError(
        f"{path} is damaged: {reason}; use another checkpoint, or delete {checkpoint} to go on from the one "
        "before."
    )


def _files_of_items(checkpoint: epath.Path) -> dict[str, epath.Path]:
    """Return the files in the directories of a checkpoint, by their path in it."""
    pending = [entry for entry in checkpoint.iterdir() if entry.is_dir()]
    files = {}
    while pending:
        for entry in pending.pop().iterdir():
            if entry.is_dir():
                pending.append(entry)
            else:
                files[str(entry.relative_to(checkpoint))] = entry
    return files


def sha256(path: epath.PathLike) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with epath.Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
