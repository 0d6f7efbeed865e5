import hashlib

import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.interop import download
from tests.interop.conftest import CONTENT


def published(server, digest: str) -> download.Published:
    return download.Published(f"http://127.0.0.1:{server.server_port}/weights.pth", digest, "free")


@pytest.mark.parametrize("digits", [64, 8])
def test_is_downloaded_once(server, digits):
    wanted = published(server, hashlib.sha256(CONTENT).hexdigest()[:digits])
    assert download.fetch(wanted).read_bytes() == CONTENT
    assert download.fetch(wanted).read_bytes() == CONTENT
    assert server.asked == ["/weights.pth"]


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(
        UserError, match=r"weights.pth is not the file that was published at .*: its SHA-256 begins with"
    ):
        download.fetch(published(server, "0" * 64))
    assert not [each for each in (tmp_path / "cache").rglob("*") if each.is_file()]


def test_offline_is_one_sentence(server):
    wanted = published(server, "0" * 64)
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match=r"cannot be downloaded: are you offline\? .* pass path=FILE\.$"):
        download.fetch(wanted)
