import io
import json
import re
import shutil
import sys
import tarfile
import threading

import cv2
import pytest
from etils import epath

from benchmarks.imagenet_tars.tars import TRAIN_TAR, VAL_TAR, write_tars
from flax_googlenet import workers
from flax_googlenet.data.checking import decode_all
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.preparation import Beam, prepare_dataset, record_files
from flax_googlenet.data.preparation.locks import lock_directory
from flax_googlenet.data.preparation.verification import RECORD_FILE
from flax_googlenet.data.sources.tfds import find_builder
from flax_googlenet.errors import UserError
from tests.support.files import leftovers
from tests.support.sources import open_tfds, records

pytestmark = pytest.mark.slow  # TensorFlow's import takes seconds


@pytest.fixture
def copy(imagenet, tmp_path):
    return shutil.copytree(imagenet, tmp_path / "copy")


def test_tfrecord_is_converted(imagenet, tfrecord):
    call = f"prepare_dataset('imagenet2012', data_dir='{tfrecord}')"
    with pytest.raises(
        UserError, match=rf"{tfrecord}/imagenet2012/5.1.0 holds tfrecord files, .*{re.escape(call)}\.$"
    ):
        open_tfds(tfrecord)
    assert prepare_dataset("imagenet2012", str(tfrecord)) == {
        "dataset": "imagenet2012",
        "version": "5.1.0",
        "data_dir": str(tfrecord),
        "splits": {"train": 32, "validation": 10},
        "bad_images": 0,
        "damaged_images": 0,
    }
    assert records(tfrecord) == records(imagenet)
    assert len(open_tfds(tfrecord, train_split="train[:50%]")) == 16
    assert len(list(tfrecord.rglob("*.tfrecord-*"))) == 2, "the TFRecord files stay"


def interrupt(monkeypatch, function: str, at: int) -> None:
    """Raise in the middle of a file at the given call, as if the process were interrupted."""
    count = 0
    original = getattr(record_files.Progress, function)

    def advance(self, *arguments):
        nonlocal count
        count += 1
        if count == at:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(record_files.Progress, function, advance)
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def test_an_interrupted_conversion_is_resumed(imagenet, tfrecord, monkeypatch, caplog):
    directory = tfrecord / "imagenet2012/5.1.0"
    with monkeypatch.context() as patched:
        interrupt(patched, "advance", at=37)
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("imagenet2012", str(tfrecord))
    with pytest.raises(UserError, match="holds tfrecord files"):
        open_tfds(tfrecord)
    (done,) = directory.glob("imagenet2012*array_record*")
    written = done.stat().st_mtime_ns
    left = directory / f"incomplete.{'0' * 32}.imagenet2012-validation.array_record-00000-of-00001"
    left.write_bytes(b"half")
    prepare_dataset("imagenet2012", str(tfrecord))
    assert "converting" in caplog.text
    assert done.stat().st_mtime_ns == written, "it is not converted again"
    assert not leftovers(tfrecord)
    assert records(tfrecord) == records(imagenet)


def test_a_missing_file_is_named_before_the_conversion(tfrecord):
    (file,) = tfrecord.rglob("*validation.tfrecord-*")
    file.unlink()
    with pytest.raises(UserError, match=f"no file {file}"):
        prepare_dataset("imagenet2012", str(tfrecord))


def test_a_copy_has_smaller_images(copy, caplog):
    result = prepare_dataset("imagenet2012", str(copy), shorter_side=90)
    assert result["dataset"] == "imagenet2012/shorter_side_90"
    assert result["splits"] == {"train": 32, "validation": 10}
    smaller, whole = records(copy, result["dataset"]), records(copy)
    assert open_tfds(copy, dataset=result["dataset"]).class_names == open_tfds(copy).class_names
    kept = 0
    for (encoded, *rest), (original, *expected_rest) in zip(smaller, whole, strict=True):
        assert rest == expected_rest, "the same order, labels and names"
        before, after = decode(original, ""), decode(encoded, "")
        side = min(before.shape[:2])
        if side <= 90:
            assert encoded == original
            kept += 1
        else:
            assert after.shape[:2] == tuple(90 * length // side for length in before.shape[:2])
            assert encoded[:3] == b"\xff\xd8\xff"
            expected = cv2.resize(before, after.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert abs(after.astype(int) - expected.astype(int)).mean() < 3
    assert 0 < kept < len(smaller)
    caplog.clear()
    assert prepare_dataset("imagenet2012:5.1.0", str(copy), shorter_side=90) == {
        **result,
        "dataset": "imagenet2012/shorter_side_90:5.1.0",
    }
    assert "imagenet2012/shorter_side_90 is complete" in caplog.text


def test_an_interrupted_copy_is_resumed(copy, monkeypatch):
    expected = copy.parent / "expected"
    shutil.copytree(copy, expected)
    prepare_dataset("imagenet2012", str(expected), shorter_side=64)
    with monkeypatch.context() as patched:
        interrupt(patched, "advance", at=37)
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("imagenet2012", str(copy), shorter_side=64)
    assert find_builder("imagenet2012/shorter_side_64", str(copy)) is None
    (done,) = copy.rglob("incomplete.shrinking_5.1.0/imagenet2012*")
    written = done.stat().st_mtime_ns
    prepare_dataset("imagenet2012", str(copy), shorter_side=64)
    directory = copy / "imagenet2012/shorter_side_64/5.1.0"
    assert (directory / done.name).stat().st_mtime_ns == written
    assert not leftovers(copy)
    dataset = "imagenet2012/shorter_side_64"
    assert records(copy, dataset) == records(expected, dataset)


def test_a_copy_of_data_that_were_prepared_again_starts_again(copy, imagenet, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt(patched, "advance", at=37)
        with pytest.raises(KeyboardInterrupt):
            prepare_dataset("imagenet2012", str(copy), shorter_side=64)
    (origin,) = copy.rglob("origin.json")
    origin.write_text(json.dumps({"of": "other files"}))
    (done,) = copy.rglob("incomplete.shrinking_5.1.0/imagenet2012*")
    done.write_bytes(b"of other images")
    assert prepare_dataset("imagenet2012", str(copy), shorter_side=64)["bad_images"] == 0
    assert len(records(copy, "imagenet2012/shorter_side_64")) == len(records(imagenet))


def test_corrupt_images_are_named_counted_and_remembered(imagenet_tars, tmp_path, caplog, monkeypatch):
    with tarfile.open(imagenet_tars / VAL_TAR) as tar:
        sound = [tar.extractfile(name).read() for name in sorted(tar.getnames())]
    extraneous = sound[2][:-2] + b"more" * 20 + b"\xff\xd9"
    train = {"n01440764": [sound[0], b"junk", extraneous]}
    write_tars(tmp_path / "tars", train, [sound[0], b"", sound[1][:300]])
    path = tmp_path / "data"
    result = prepare_dataset("imagenet2012", str(path), str(tmp_path / "tars"))
    assert result["splits"] == {"train": 3, "validation": 3}
    assert (result["bad_images"], result["damaged_images"]) == (3, 1)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "train has 3 images; ImageNet's train split has 1281167" in warnings
    for split, name in (
        ("train", "n01440764_1.JPEG"),
        ("validation", "ILSVRC2012_val_00000002.JPEG"),
        ("validation", "ILSVRC2012_val_00000003.JPEG"),
    ):
        (line,) = [line for line in caplog.messages if name in line]
        assert line.startswith(f"corrupt image: imagenet2012/5.1.0 {split} record ")

    (line,) = [line for line in caplog.messages if "n01440764_2.JPEG" in line]
    assert line.startswith("image with decoder warnings: imagenet2012/5.1.0 train record ")
    assert "extraneous bytes before marker 0xd9" in line

    def forbidden(*_):
        raise AssertionError("decoded again")

    caplog.clear()
    with monkeypatch.context() as patched:
        patched.setattr(decode_all.decoding, "inspect", forbidden)
        assert prepare_dataset("imagenet2012", str(path)) == result
    assert "was decoded before" in caplog.text
    assert caplog.text.count("corrupt image: ") == 3
    smaller = prepare_dataset("imagenet2012", str(path), shorter_side=8)
    assert (smaller["bad_images"], smaller["damaged_images"]) == (3, 1), "a copy keeps their bytes"
    caplog.clear()
    record = path / "imagenet2012/5.1.0" / RECORD_FILE
    kept = json.loads(record.read_text())
    for written in ("{", json.dumps({"files": kept["files"], "bad": kept["bad"]})):  # by an older version
        record.write_text(written)
        assert prepare_dataset("imagenet2012", str(path)) == result
        assert "was decoded before" not in caplog.text


def test_a_record_that_cannot_be_read_to_its_end_is_named(copy, monkeypatch):
    monkeypatch.setattr(workers, "READ_DEADLINE", 0.2)
    gate = threading.Event()

    monkeypatch.setattr(
        "array_record.python.array_record_data_source.ArrayRecordDataSource.__getitem__",
        lambda *_: gate.wait(),
    )
    record = copy / "imagenet2012/5.1.0" / RECORD_FILE
    record.unlink()
    with pytest.raises(
        UserError, match=r"^imagenet2012/5.1.0 train record .* could not be read within 0.2 s"
    ):
        prepare_dataset("imagenet2012", str(copy))
    record.write_text(json.dumps({"files": {}}))
    with pytest.raises(UserError, match=r"array_record-00000-of-00001.* could not be read within 0.2 s"):
        prepare_dataset("imagenet2012", str(copy), shorter_side=64)
    gate.set()


def corrupt_tars(directory, imagenet_tars, how: str) -> str:
    """Copy ImageNet's tars and corrupt or remove one of them."""
    shutil.copytree(imagenet_tars, directory)
    train, val = directory / TRAIN_TAR, directory / VAL_TAR
    if how == "a hole":
        with tarfile.open(val) as tar:
            images = {name: tar.extractfile(name).read() for name in tar.getnames()}
        with tarfile.open(val, "w") as tar:
            for name, encoded in images.items():
                if not name.endswith("04.JPEG"):
                    info = tarfile.TarInfo(name)
                    info.size = len(encoded)
                    tar.addfile(info, io.BytesIO(encoded))
    elif how == "cut train":
        train.write_bytes(train.read_bytes()[:30_000])
    elif how == "cut val":
        val.write_bytes(val.read_bytes()[:6_000])
    elif how == "no tar":
        val.write_bytes(b"<html>please log in</html>")
    else:
        (directory / how).unlink()
    return str(directory)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (TRAIN_TAR, "no file {tars}/ILSVRC2012_img_train.tar; .* manual_dir at"),
        (VAL_TAR, "no file {tars}/ILSVRC2012_img_val.tar; .* manual_dir at"),
        (
            "a hole",
            "img_val.tar has ILSVRC2012_val_00000005.JPEG in the place of ILSVRC2012_val_00000004.JPEG",
        ),
        ("cut train", "imagenet2012/5.1.0 could not be prepared: .*(?i:unexpected end of data|ReadError)"),
        ("cut val", "img_val.tar is corrupt: unexpected end of data"),
        ("no tar", "img_val.tar is corrupt: "),
    ],
)
def test_missing_and_corrupt_tars_are_refused(imagenet_tars, tmp_path, how, words):
    tars = corrupt_tars(tmp_path / "tars", imagenet_tars, how)
    with pytest.raises(UserError, match=words.format(tars=tars)):
        prepare_dataset("imagenet2012", str(tmp_path / "data"), tars)
    assert find_builder("imagenet2012", str(tmp_path / "data")) is None
    assert not leftovers(tmp_path)


@pytest.mark.parametrize(
    ("dataset", "options", "words"),
    [
        ("imagnet2012", {}, 'TFDS has no data set "imagnet2012"; did you mean "imagenet2012"'),
        ("imagenet2012:1.0.0", {}, "TFDS cannot build imagenet2012:1.0.0"),
        ("imagenet2012/small", {}, "TFDS cannot build imagenet2012/small"),
        ("", {}, "is not a name of a data set"),
        ("words", {}, r'words/1.0.0 is not a data set of images .* "text" \(Text\)'),
        (
            "resisc45",
            {},
            "TFDS cannot download resisc45, and {path}/downloads/manual is empty; point manual_dir",
        ),
        ("photographs", {"shorter_side": -1}, "^shorter_side is -1; it must be a number of pixels"),
        (
            "photographs",
            {"beam": Beam("", ("project=p",))},
            "^beam_options have no effect without",
        ),
        (
            "photographs",
            {"beam": Beam("DirectRuner")},
            "^beam_runner=DirectRuner .*: .*DirectRunner",
        ),
    ],
)
def test_data_sets_that_cannot_be_prepared(tmp_path, dataset, options, words):
    import tests.support.own_builders  # noqa: F401  registers photographs and words

    with pytest.raises(UserError, match=words.format(path=tmp_path)):
        prepare_dataset(dataset, str(tmp_path), **options)
    assert not leftovers(tmp_path)


def test_a_directory_that_cannot_be_written_to(tmp_path):
    import tests.support.own_builders  # noqa: F401

    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"{tmp_path}/file/photographs cannot be written to: Not a directory"):
        prepare_dataset("photographs", str(tmp_path / "file"))


def test_two_processes_do_not_prepare_at_once(tmp_path):
    import tests.support.own_builders  # noqa: F401

    with (
        lock_directory(epath.Path(tmp_path / "photographs")),
        pytest.raises(UserError, match=f"Another process is preparing data in {tmp_path}/photographs"),
    ):
        prepare_dataset("photographs", str(tmp_path))
    assert prepare_dataset("photographs", str(tmp_path))["splits"] == {"train": 40, "test": 10}


@pytest.mark.parametrize("package", ["tensorflow", "importlib_resources"])
def test_an_extra_that_is_not_installed_is_named(tmp_path, monkeypatch, package):
    import tests.support.own_builders  # noqa: F401

    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        UserError, match=rf'package {package}; install it with pip install -e "\.\[prepare\]"'
    ):
        prepare_dataset("photographs", str(tmp_path))
