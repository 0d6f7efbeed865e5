"""A published file of weights, fetched once into a cache and held to its digest."""

import dataclasses
import pathlib
import sys

import pooch
import requests

from flax_googlenet.checkpoints import sha256
from flax_googlenet.errors import UserError


@dataclasses.dataclass(frozen=True)
class Published:
    """A file as its publisher offers it.

    Attributes:
      address: where.
      sha256: its SHA-256, or as much of it as the publisher states.
      licence: of the weights.
    """

    address: str
    sha256: str
    licence: str


def fetch(published: Published) -> pathlib.Path:
    """The file in the cache, downloaded if it is not there yet.

    Raises:
      UserError: it cannot be had, or is not the file that was published.
    """
    pooch.get_logger().setLevel("ERROR")  # it would advise to pin a digest; that is done below
    name = published.address.rsplit("/", 1)[-1]
    try:
        path = pooch.retrieve(
            published.address,
            known_hash=None,
            fname=f"{published.sha256[:8]}-{name}",
            path=pooch.os_cache("flax_googlenet"),
            progressbar=sys.stderr.isatty(),
        )
    except (requests.RequestException, OSError) as error:
        raise UserError(
            f"{published.address} cannot be downloaded: are you offline? Fetch it elsewhere and pass "
            "path=FILE."
        ) from error
    try:
        check_digest(pathlib.Path(path), published)
    except UserError:
        pathlib.Path(path).unlink()  # so that the next call fetches it anew
        raise
    return pathlib.Path(path)


def check_digest(path: pathlib.Path, published: Published) -> None:
    """Compare a file with what was published.

    Raises:
      UserError: it is another.
    """
    found = sha256(path)
    if not found.startswith(published.sha256):
        raise UserError(
            f"{path} is not the file that {published.address} was: its SHA-256 begins with "
            f"{found[: len(published.sha256)]}, not {published.sha256}; nothing was taken from it."
        )
