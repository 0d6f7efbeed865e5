"""Files and directories on disk."""

import pathlib
import socket


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    """Return the bytes of every file below a directory, by path."""
    return {str(path): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def make_socket(path: pathlib.Path) -> None:
    """Leave a Unix socket at a path."""
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))


def leftovers(path: pathlib.Path) -> list[pathlib.Path]:
    """Return the incomplete files and directories below a path."""
    return [entry for entry in path.rglob("*") if "incomplete" in entry.name]
