import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.imagenet_tars.tars import FOUR_CLASSES, validation_classes
from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.errors import UserError
from tests.support.commands import REPOSITORY
from tests.support.sources import open_tfds

pytestmark = pytest.mark.slow  # runs the real builder once


def test_records_are_imagenets(imagenet):
    train, val = open_tfds(imagenet), open_tfds(imagenet, "val")
    assert (len(train), len(val)) == (32, 10)
    assert train.class_names == val.class_names == tuple(imagenet_classes())
    names = set()
    for index in range(len(train)):
        example = train[index]
        prefix, file_name = f"imagenet2012/5.1.0 train record {index} (", example.name.split("(")[-1]
        assert example.name.startswith(prefix)
        assert file_name.split("_")[0] == train.class_names[example.label]
        assert decode(example.encoded, example.name).shape[2] == 3
        names.add(file_name)
    assert names == {f"{wnid}_{index}.JPEG)" for wnid in FOUR_CLASSES for index in range(8)}


def test_the_digest_tells_splits_and_data_sets_apart_but_not_where_they_are(imagenet, tmp_path):
    moved = shutil.copytree(imagenet, tmp_path / "moved")
    assert open_tfds(moved).digest == open_tfds(imagenet).digest
    digests = {
        open_tfds(imagenet, split, **options).digest
        for split, options in (
            ("train", {}),
            ("val", {}),
            ("train", {"train_split": "train[:50%]"}),
            ("train", {"train_split": "train[50%:]"}),
        )
    }
    assert len(digests) == 4
    changed = shutil.copytree(imagenet, tmp_path / "changed")
    file = changed / "imagenet2012/5.1.0/dataset_info.json"
    text = file.read_text()
    described = json.loads(text)
    described["splits"][0]["numBytes"] = str(int(described["splits"][0]["numBytes"]) + 1)
    file.write_text(json.dumps(described))
    assert open_tfds(changed).digest != open_tfds(imagenet).digest


def test_validation_labels_are_those_of_the_file_names(imagenet):
    val = open_tfds(imagenet, "val")
    labels = {}
    for index in range(len(val)):
        example = val[index]
        labels[example.name.split("(")[-1]] = val.class_names[example.label]
    expected = validation_classes()[:10]
    assert labels == {f"ILSVRC2012_val_{number:08}.JPEG)": wnid for number, wnid in enumerate(expected, 1)}


def test_records_are_the_bytes_of_the_tar(imagenet, imagenet_tars):
    import tarfile

    with tarfile.open(imagenet_tars / "ILSVRC2012_img_val.tar") as tar:
        expected = {name: tar.extractfile(name).read() for name in tar.getnames()}
    val = open_tfds(imagenet, "val")
    examples = [val[index] for index in range(len(val))]
    assert {example.name.split("(")[-1][:-1]: example.encoded for example in examples} == expected


def test_threads_read_the_same_records(imagenet):
    train = open_tfds(imagenet)
    expected = [train[index] for index in range(32)]
    again = open_tfds(imagenet)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(again.__getitem__, list(range(32)) * 20)) == expected * 20


def test_splits_are_in_tfdss_notation(imagenet):
    parts = {"train_split": "train[:75%]", "val_split": "train[75%:]+validation"}
    train, val = open_tfds(imagenet, **parts), open_tfds(imagenet, "val", **parts)
    whole = open_tfds(imagenet)
    assert (len(train), len(val)) == (24, 18)
    assert [train[i].encoded for i in range(24)] == [whole[i].encoded for i in range(24)]
    assert [val[i].encoded for i in range(8)] == [whole[i].encoded for i in range(24, 32)]
    assert "train[75%:]+validation record 17 (ILSVRC2012_val_" in val[17].name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dataset": ""}, "config.data.dataset is empty"),
        ({"dataset": "a b"}, '"a b" is not a name of a data set'),
        (
            {"dataset": "cifar10"},
            r"no data set cifar10 in {path}; .* prepare_dataset\('cifar10', data_dir='{path}'\)\.$",
        ),
        ({"dataset": "imagenet2012:4.0.0"}, "no data set imagenet2012:4.0.0 in {path}"),
        ({"dataset": "imagenet2012/small"}, "no data set imagenet2012/small in {path}"),
        (
            {"train_split": "test"},
            '5.1.0 has no split "test"; it has "train", "validation": set config.data.train_split to',
        ),
        ({"train_split": "train[:half]"}, r'has no split "train\[:half\]"'),
        ({"train_split": "train[:0]"}, r'split "train\[:0\]" of imagenet2012/5.1.0 is empty'),
        ({"train_split": "train[9:2]"}, r'split "train\[9:2\]"'),
    ],
)
def test_a_missing_data_set_or_split_is_named(imagenet, options, words):
    with pytest.raises(UserError, match=words.format(path=imagenet)):
        open_tfds(imagenet, **options)


def test_a_path_with_a_space_is_quoted(tmp_path):
    call = f"prepare_dataset('imagenet2012', data_dir='{tmp_path}/my data')"
    with pytest.raises(UserError, match=f"{re.escape(call)}\\.$"):
        open_tfds(tmp_path / "my data")


def test_a_missing_or_corrupt_file_is_named(imagenet, tmp_path):
    copy = shutil.copytree(imagenet, tmp_path / "copy")
    (file,) = copy.glob("imagenet2012/5.1.0/*train.array_record*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    train = open_tfds(copy)
    with pytest.raises(
        UserError, match=r"imagenet2012/5.1.0 train record \d+ cannot be read: .*hash mismatch"
    ):
        [train[index] for index in range(32)]
    file.unlink()
    with pytest.raises(UserError, match=f"no file {file}"):
        open_tfds(copy)


@pytest.mark.parametrize("package", ["tensorflow_datasets", "array_record"])
def test_an_extra_that_is_not_installed_is_named(imagenet, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf'package {package}; install it with pip install -e "\.\[tfds\]"'):
        open_tfds(imagenet)


def test_a_split_is_read_without_tensorflow_and_without_a_network(imagenet):
    """TensorFlow is installed here, and every connection is refused."""
    script = (
        "import socket, sys\n"
        "def refuse(*_): raise AssertionError('a connection')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from tests.support.sources import open_tfds\n"
        f"source = open_tfds({str(imagenet)!r})\n"
        "assert source[3].encoded[:2] == bytes([0xff, 0xd8])\n"
        "import importlib.util; assert importlib.util.find_spec('tensorflow')\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr


def test_as_many_files_may_be_open_as_there_are_shards(imagenet):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard - 1 if soft == hard else soft, hard))
    try:
        before, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        open_tfds(imagenet)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before + 1, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
