"""Files of unusual kinds."""

import pathlib
import socket


def make_socket(path: pathlib.Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(path))
