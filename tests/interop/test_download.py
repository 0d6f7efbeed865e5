import hashlib

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.interop import download
from tests.interop.conftest import CONTENT


def published(server, digest: str) -> download.Published:
    return download.Published(f"http://127.0.0.1:{server.server_port}/weights.pth", digest, "free")


@pytest.mark.parametrize("digits", [64, 8])
def test_a_file_is_downloaded_once(server, digits):
    file = published(server, hashlib.sha256(CONTENT).hexdigest()[:digits])
    assert download.fetch(file).read_bytes() == CONTENT
    assert download.fetch(file).read_bytes() == CONTENT
    assert server.requested == ["/weights.pth"]


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(
        UserError, match=r"weights.pth is not the file that was published at .*: its SHA-256 begins with"
    ):
        download.fetch(published(server, "0" * 64))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_failed_download_is_one_sentence(server):
    file = published(server, "0" * 64)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"cannot be downloaded: are you offline\? .* pass path=FILE\.$"):
        download.fetch(file)
