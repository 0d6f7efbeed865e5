"""Downloads of published weights, kept in a cache and compared with their digests."""

import dataclasses
import pathlib
import sys

import pooch
import requests

from flax_googlenet.checkpoints import sha256
from flax_googlenet.errors import UserError


@dataclasses.dataclass(frozen=True)
class Published:
    """A file of weights that its publisher offers for download.

    Attributes:
      address: the file's address.
      sha256: its SHA-256 digest, or the first digits if the publisher states no more.
      licence: the licence of the weights.
    """

    address: str
    sha256: str
    licence: str


def fetch(published: Published) -> pathlib.Path:
    """Return the path of a published file in the cache. Download the file if it is not there.

    Raises:
      UserError: if the download fails or the file's digest differs.
    """
    pooch.get_logger().setLevel("ERROR")  # it advises to give a digest, which `check_digest` compares
    name = published.address.rsplit("/", 1)[-1]
    try:
        path = pathlib.Path(
            pooch.retrieve(
                published.address,
                known_hash=None,
                fname=f"{published.sha256[:8]}-{name}",
                path=pooch.os_cache("flax_googlenet"),
                progressbar=sys.stderr.isatty(),
            )
        )
    except (requests.RequestException, OSError) as error:
        raise UserError(
            f"{published.address} cannot be downloaded: are you offline? Download it on another machine "
            "and pass path=FILE."
        ) from error
    try:
        check_digest(path, published)
    except UserError:
        path.unlink()  # the next call downloads it again
        raise
    return path


def check_digest(path: pathlib.Path, published: Published) -> None:
    """Compare a file with the published one.

    Raises:
      UserError: if their digests differ.
    """
    digest = sha256(path)
    if not digest.startswith(published.sha256):
        raise UserError(
            f"{path} is not the file that was published at {published.address}: its SHA-256 begins with "
            f"{digest[: len(published.sha256)]}, not {published.sha256}; nothing was imported from it."
        )
