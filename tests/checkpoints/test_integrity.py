import json
import pathlib
import shutil

import pytest
from etils import epath

from flax_googlenet import checkpoints
from flax_googlenet.errors import UserError
from tests.support.checkpoints import save


@pytest.fixture
def checkpoint(tmp_path) -> pathlib.Path:
    save(tmp_path, metrics={1: 0.5})
    return pathlib.Path(checkpoints.find(str(tmp_path)))


def test_an_intact_checkpoint_passes(checkpoint):
    checkpoints.verify_digests(epath.Path(checkpoint))


def test_digests_cover_every_array_file(checkpoint):
    digests = json.loads((checkpoint / "digests.json").read_text())
    files = {str(path.relative_to(checkpoint)) for path in checkpoint.rglob("*") if path.is_file()}
    not_digested = {"digests.json", "_CHECKPOINT_METADATA", "commit_success.txt"}
    assert files - not_digested == set(digests)


def weights_file(checkpoint):
    return max(
        (path for path in (checkpoint / "weights").rglob("*") if path.is_file()),
        key=lambda path: path.stat().st_size,
    )


def flip(checkpoint):
    file = weights_file(checkpoint)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def drop_entry(checkpoint):
    digests = json.loads((checkpoint / "digests.json").read_text())
    del digests[str(weights_file(checkpoint).relative_to(checkpoint))]
    (checkpoint / "digests.json").write_text(json.dumps(digests))


def drop_item(checkpoint):
    digests = json.loads((checkpoint / "digests.json").read_text())
    kept = {name: digest for name, digest in digests.items() if not name.startswith("optimizer/")}
    (checkpoint / "digests.json").write_text(json.dumps(kept))
    shutil.rmtree(checkpoint / "optimizer")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        pytest.param(flip, "is corrupt: it is not the file that was saved", id="flipped bit"),
        pytest.param(lambda c: weights_file(c).unlink(), "is corrupt", id="missing file"),
        pytest.param(lambda c: (c / "weights" / "new").write_text(""), "has no digest of", id="new file"),
        pytest.param(drop_entry, "has no digest of", id="dropped entry"),
        pytest.param(drop_item, "optimizer is corrupt: it is missing", id="missing item"),
        pytest.param(lambda c: (c / "digests.json").write_text("{}"), "has no digest of", id="no entries"),
        pytest.param(lambda c: (c / "digests.json").write_text("[]"), "not a table of digests", id="list"),
        pytest.param(lambda c: (c / "digests.json").write_text("{"), "cannot be read", id="no JSON"),
        pytest.param(lambda c: (c / "digests.json").write_bytes(b"\xff"), "cannot be read", id="no UTF-8"),
        pytest.param(lambda c: (c / "digests.json").unlink(), "corrupt: it is missing", id="no digests"),
    ],
)
def test_a_corrupt_file_is_named(checkpoint, harm, words):
    harm(checkpoint)
    with pytest.raises(UserError, match=words) as caught:
        checkpoints.verify_digests(epath.Path(checkpoint))
    assert str(checkpoint) in str(caught.value)
    with pytest.raises(UserError, match=words):
        checkpoints.read_weights(epath.Path(checkpoint))
