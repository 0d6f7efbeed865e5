"""Flags, overrides, config files and help, in this process, since all of this precedes a command's work."""

import importlib
import json

import pytest
from absl import flags

import launch.common.command  # noqa: F401  it defines the flag that all commands share
from tests.support.commands import REPOSITORY

COMMANDS = sorted(
    path.stem for path in (REPOSITORY / "launch").glob("*.py") if "if __name__ ==" in path.read_text()
)


def test_the_order_of_tests_does_not_matter(command, capsys):
    module = importlib.import_module("launch.train")
    importlib.import_module("benchmarks.augmentation.__main__")
    assert command("train", "--config.model=bn") == 1
    assert sentence_of(capsys)
    assert command("train", "--help") == 0
    assert flags.FLAGS["workdir"].default == module._WORKDIR.default


def sentence_of(capsys) -> str:
    """Return the only line of stderr, and check that stdout is empty."""
    streams = capsys.readouterr()
    assert streams.out == ""
    (line,) = streams.err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize(
    ("name", "arguments", "status", "words"),
    [
        pytest.param("train", ["--wrkdir=x"], 1, "no flag --wrkdir; did you mean --workdir?", id="flag"),
        pytest.param("train", ["--confg=x"], 1, "did you mean --config?", id="config misspelled"),
        pytest.param(
            "train", ["--lr=1"], 1, "mean --config.optimizer.learning_rate?", id="alias of a key as a flag"
        ),
        pytest.param("train", ["--log_every=1"], 1, "did you mean --config.log_every?", id="key as a flag"),
        pytest.param(
            "train",
            ["--xyz=1"],
            1,
            "choose from --compilation_cache, --config, --coordinator, ",
            id="no flag at all",
        ),
        pytest.param("train", ["--profile_steps=5"], 1, '"5"; write FIRST:LAST, such as', id="steps"),
        pytest.param("train", ["workdir=x"], 1, '"workdir=x" is not a flag', id="without dashes"),
        pytest.param(
            "train",
            ["--config.optimiser.momentum=1"],
            1,
            'no key "optimiser.momentum"; did you mean "optimizer.momentum"?',
            id="section",
        ),
        pytest.param(
            "train",
            ["--config.optimizer.lr=1"],
            1,
            'no key "optimizer.lr"; did you mean "optimizer.learning_rate"?',
            id="abbreviation",
        ),
        pytest.param("train", ["--config.model=bn"], 1, "such as model.variant.", id="section as a key"),
        pytest.param(
            "train",
            ["--config.model.normalization=bach"],
            1,
            'config.model.normalization is \'bach\'; it must be "none", "lrn" or "batch"; '
            'did you mean "batch"?',
            id="choice",
        ),
        pytest.param(
            "train",
            ["--config.duration=ten epochs"],
            1,
            "config.duration is 'ten epochs'; it must be a duration above 0 in steps, epochs or examples, "
            'such as "60 epochs".',
            id="duration",
        ),
        pytest.param(
            "train",
            ["--config.optimizer.learning_rate=nan"],
            1,
            "config.optimizer.learning_rate is nan;",
            id="nan",
        ),
        pytest.param("train", ["--config.optimizer.freeze=3"], 1, "optimizer.freeze is (3,);", id="freeze"),
        pytest.param(
            "train",
            ["--config.batch_size=many"],
            2,
            "config.batch_size is 'many'; it must be a whole number of at least 1, such as 32.",
            id="no whole number",
        ),
        pytest.param("train", ["--config.batch_size=32.0"], 2, "'32.0'; it must be a whole", id="a fraction"),
        pytest.param("train", ["--config.batch_size="], 2, "config.batch_size is '';", id="empty value"),
        pytest.param("train", ["--config.batch_size"], 2, "write --config.batch_size=VALUE.", id="no value"),
        pytest.param(
            "train", ["--config.loss.aux_weight=a bit"], 2, "must be a finite number of at", id="no number"
        ),
        pytest.param("train", ["--config"], 2, "--config has no value; write --config=VALUE.", id="no file"),
        pytest.param("train", ["--config.data.mirror=maybe"], 2, "must be true or false", id="no Boolean"),
        pytest.param("train", ["--config.data.mean=(1,2"], 2, "must be three finite numbers", id="bracket"),
        pytest.param(
            "train", ["--config.init_from=a.pth"], 1, "--source=torchvision --path=a.pth", id="init_from"
        ),
        pytest.param(
            "train",
            ["--config=configs/imagenet.py", "--workdir={empty}/run"],
            1,
            "config.data.path is empty; set it to a directory that holds train/CLASS/IMAGE",
            id="no data",
        ),
        pytest.param(
            "train",
            ["--config=configs/imagenet.py", "--workdir={empty}/run", "--config.data.path=/nowhere"],
            1,
            "/nowhere/train",
            id="no directory of the data",
        ),
        pytest.param(
            "train",
            ["--workdir={empty}/run", "--config.init_from={empty}"],
            1,
            "There is no checkpoint in {empty}",
            id="no checkpoint to start from",
        ),
        pytest.param("evaluate", [], 2, "--checkpoint is required: workdir of a run", id="required"),
        pytest.param("export", ["--checkpoint=x", "--out=y"], 2, "is required: kind of file.", id="enum"),
        pytest.param("predict", ["--checkpoint=x", "--top=many"], 2, "--top is 'many'; it must", id="text"),
        pytest.param("predict", ["--checkpoint=x", "--top=0"], 2, "must be a positive integer.", id="bound"),
        pytest.param(
            "evaluate",
            ["--checkpoint=x", "--crops=7"],
            2,
            "--crops is '7'; it must be one of 1|10|144.",
            id="crops",
        ),
        pytest.param(
            "import_weights",
            ["--source=tensorflow", "--out=z"],
            2,
            "--source is 'tensorflow'; it must be one of torchvision|onnx|safetensors.",
            id="choice of a required flag",
        ),
        pytest.param(
            "evaluate", ["--checkpoint=x", "--aux_heads=2"], 2, "must be true or false", id="boolean flag"
        ),
        pytest.param(
            "evaluate",
            ["--checkpoint=x", "--config.model.dropout=0.1"],
            1,
            "config.model.dropout is fixed by the checkpoint; only keys of data and evaluation can be",
            id="not of the section",
        ),
        pytest.param(
            "evaluate", ["--checkpoint={empty}"], 1, "There is no checkpoint in {empty}", id="no checkpoint"
        ),
        pytest.param("evaluate", ["--checkpoint=x,y.onnx"], 1, "--source=onnx --path=y.onnx", id="onnx"),
        pytest.param("predict", ["--checkpoint=y.pt", "z.png"], 1, "--source=torchvision", id="pt"),
        pytest.param(
            "export",
            ["--checkpoint=y.safetensors", "--format=onnx", "--out=z"],
            1,
            "y.safetensors is a file of weights, not a checkpoint; convert it with "
            "python -m launch.import_weights --source=safetensors --path=y.safetensors --out=DIR.",
            id="safetensors",
        ),
        pytest.param("predict", ["--checkpoint={empty}"], 1, "no image to classify", id="no image"),
        pytest.param(
            "inspect", ["--checkpoint={empty}", "--out=x"], 1, "no image to inspect", id="nothing to inspect"
        ),
        pytest.param(
            "predict",
            ["--config.data.resize=8"],
            1,
            "There is no flag --config.data.resize; ch",
            id="no config",
        ),
        pytest.param("summary", ["--out=/nowhere/table.md"], 1, "/nowhere/table.md", id="unwritable"),
        pytest.param("summary", ["--compare=vgg"], 1, 'did you mean "vgg16"?', id="variant"),
        pytest.param(
            "summary", ["--config=configs/fine_tune.py"], 1, "config.model.num_classes is 0", id="classes"
        ),
    ],
)
def test_a_mistake_is_one_sentence(command, capsys, tmp_path, name, arguments, status, words):
    assert command(name, *(argument.format(empty=tmp_path) for argument in arguments)) == status
    assert words.format(empty=tmp_path) in sentence_of(capsys)
    assert not list(tmp_path.iterdir())


def test_a_directory_with_the_suffix_of_a_weights_file_is_no_weights_file(command, capsys, tmp_path):
    run = tmp_path / "run.pth"
    run.mkdir()
    assert command("predict", f"--checkpoint={run}", "x.png") == 1
    assert f"There is no checkpoint in {run}" in sentence_of(capsys)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        pytest.param("configs/imagnet.py", 'did you mean "configs/imagenet.py"?', id="misspelled"),
        pytest.param("imagenet", 'did you mean "configs/imagenet.py"?', id="the name alone"),
        pytest.param("configs/imagenet", 'did you mean "configs/imagenet.py"?', id="without its ending"),
        pytest.param("imagenet.py", 'did you mean "configs/imagenet.py"?', id="without its directory"),
        pytest.param("fine-tune", 'did you mean "configs/fine_tune.py"?', id="hyphen"),
        pytest.param(
            "xyz", "choose from configs/bvlc.py, configs/fine_tune.py, configs/imagenet.py", id="not similar"
        ),
        pytest.param("", "There is no config file without a name", id="empty"),
        pytest.param("configs", "choose from configs/bvlc.py", id="a directory"),
        pytest.param("README.md", "README.md is not a Python file", id="another file"),
        pytest.param("configs/imagenet.py:varient=bn", 'did you mean "variant"?', id="argument"),
        pytest.param("configs/imagenet.py:variant=bvcl", 'did you mean "bvlc"?', id="its value"),
        pytest.param("configs/imagenet.py:bvcl", 'did you mean "bvlc"?', id="value alone"),
        pytest.param(
            "configs/bvlc.py:solver=quik", 'solver" of configs/bvlc.py is "quik"; did', id="its choices"
        ),
        pytest.param("configs/imagenet.py:recipe=papr", 'is "papr"; did you mean "paper"?', id="recipe"),
        pytest.param("configs/imagenet.py:bn,recipe=paper", 'takes no argument "bn"', id="value and name"),
        pytest.param("configs/imagenet.py:variant", "write variant=VALUE.", id="without a value"),
        pytest.param("configs/mnist_sample.py:x=1", 'no argument "x"; leave out ":x=1"', id="none taken"),
        pytest.param("configs/mnist_sample.py:x", 'takes no argument "x"; leave out ":x"', id="none, alone"),
    ],
)
def test_a_config_file_or_argument_that_does_not_exist(command, capsys, path, words):
    assert command("summary", f"--config={path}") == 1
    assert words in sentence_of(capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("def get_config():\n    config = {}\n", "returns nothing; it must return a", id="none"),
        pytest.param("def get_config():\n    return [3]\n", "returns a list; it must", id="a list"),
        pytest.param("def get_config():\n    return {'sed': 3}\n", 'did you mean "seed"?', id="unknown key"),
        pytest.param(
            "def get_config():\n    return {'model': 3}\n", "config.model is a section; set", id="a section"
        ),
        pytest.param(
            "def get_config():\n    return {'optimizer': {'momentum': 1.0}}\n",
            "config.optimizer.momentum is 1.0; it must be a number of at least 0 and below 1",
            id="value",
        ),
        pytest.param("get_config = 3\n", "has no function get_config()", id="no function"),
        pytest.param("", "has no function get_config()", id="empty"),
        pytest.param("def get_config(a):\n    return {}\n", "my.py:a=VALUE.", id="argument without default"),
        pytest.param("def get_config():\n    return (\n", "my.py, line 2, is not valid Pyt", id="syntax"),
        pytest.param("def get_config():\nreturn 3\n", "my.py, line 2, is not valid Python: ex", id="indent"),
    ],
)
def test_a_config_file_with_a_mistake(command, capsys, tmp_path, text, words):
    path = tmp_path / "my.py"
    path.write_text(text)
    assert command("summary", f"--config={path}", "--config.model.dropout=0.3") == 1
    sentence = sentence_of(capsys)
    assert words in sentence
    assert "Traceback" not in sentence


def test_an_error_in_a_config_file_keeps_its_traceback(command, tmp_path):
    path = tmp_path / "my.py"
    path.write_text("def get_config():\n    return 1 / 0\n")
    with pytest.raises(ZeroDivisionError):
        command("summary", f"--config={path}")


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("{'model': {'head': 'fully_connected'}}", id="dict"),
        pytest.param("ConfigDict({'model': {'head': 'fully_connected'}})", id="ConfigDict"),
        pytest.param("FrozenConfigDict({'model': {'head': 'fully_connected'}})", id="frozen"),
        pytest.param("{'model': ConfigDict({'head': 'fully_connected'})}", id="mixed"),
    ],
)
def test_get_config_returns_any_mapping(command, capsys, tmp_path, value):
    path = tmp_path / "my.py"
    imports = "from ml_collections import ConfigDict, FrozenConfigDict\n"
    path.write_text(f"{imports}def get_config():\n    return {value}\n")
    assert command("summary", f"--config={path}") == 0
    assert json.loads(capsys.readouterr().out)["params"] == 58_379_800


@pytest.mark.parametrize("argument", ["variant=torchvision", "torchvision"])
def test_the_only_argument_needs_no_name(command, capsys, argument):
    assert command("summary", f"--config=configs/imagenet.py:{argument}") == 0
    assert json.loads(capsys.readouterr().out)["params"] == 6_624_904


def test_an_override_may_correct_the_file(command, capsys, tmp_path):
    path = tmp_path / "my.py"
    path.write_text("def get_config():\n    return {'model': {'pool_rounding': 'floor', 'aux_heads': 0}}\n")
    assert command("summary", f"--config={path}", "--config.data.image_size=60") == 1
    assert "config.data.image_size is 60; it must be at least 61" in sentence_of(capsys)
    assert command("summary", f"--config={path}", "--config.data.image_size=61") == 0
    assert command("summary", "--config.data.image_size=61", f"--config={path}") == 0, "in any order"


REQUIRED = {
    "checkpoint": {"workdir"},
    "evaluate": {"checkpoint"},
    "export": {"checkpoint", "format", "out"},
    "import_weights": {"source", "out"},
    "inspect": {"checkpoint", "out"},
    "predict": {"checkpoint"},
    "prepare": {"dataset"},
    "report": {"workdir"},
    "sweep": {"workdir"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_for_newcomers(command, capsys, name):
    assert command(name, "--help") == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    first = (REPOSITORY / f"launch/{name}.py").read_text().split('"""')[1].splitlines()[0]
    assert lines[0] == first
    for nothing in ("(default: )", "(default: [])", "(default: None)", "<"):
        assert nothing not in text
    required = {line.split()[0].strip("-").partition("=")[0] for line in lines if "(required)" in line}
    assert required == REQUIRED.get(name, set())
    assert max(map(len, lines)) <= 110, "a backslash that joins two lines would make a long one"
    if "--config=" in text:
        assert "--config.KEY=VALUE" in text


def test_help_keeps_the_backslash_of_a_continued_line(command, capsys):
    assert command("train", "--help") == 0
    assert "--config.data.path=DIR \\\n      --config.init_from=CHECKPOINT" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "has_model_keys"),
    [("train", True), ("summary", True), ("check_data", True), ("evaluate", False)],
)
def test_help_lists_the_keys_that_a_command_takes(command, capsys, name, has_model_keys):
    assert command(name, "--help=config") == 0
    names = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line[:1].strip()}
    assert "data.path" in names
    assert ("model.dropout" in names) == has_model_keys


def test_help_of_a_config_that_a_command_does_not_take(command, capsys):
    assert command("predict", "--help=config") == 1
    assert "This command has no config; --help lists its flags." in sentence_of(capsys)
