"""The shell commands of README.md and of docs/: each is run here, or a comment says why it is not.

The commands of a page run one after the other, in a directory with what the page takes for granted:
configs, runs and images. A comment such as `<!-- not run: needs Slurm -->` stands in the line above a block,
or right behind a command in the text.
"""

import json
import pathlib
import re
import shlex
import shutil

import pytest
import torch

from benchmarks.parity.onnx import zoo_file
from benchmarks.parity.torchvision import torchvision_model
from flax_googlenet import checkpoints, classifier
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.data.sources.imagenet import imagenet_classes
from flax_googlenet.models import build_model
from flax_googlenet.sweeps import Row, Run
from flax_googlenet.training import loop
from flax_googlenet.training.setup import program
from launch.common import config_file
from tests.support.commands import REPOSITORY
from tests.support.images import encode, photograph
from tests.support.networks import random_variables
from tests.support.pages import PAGES, page_name, snippets
from tests.sweeps.report.example import make_sweep, result_of_run, write_run

REASONS = {
    "installs packages",
    "measures for minutes",
    "needs a cloud",
    "needs a GPU",
    "needs ImageNet",
    "needs several hosts",
    "needs Slurm",
    "needs what make installs",
    "trains for minutes",
    "writes into the clone",
}

# What is added to a command that would take minutes or download a file. `launch.train` needs no addition: it
# ends before its first step, when it has checked the config, the data and the workdir and compiled nothing.
ADDED = {
    "launch.sweep": ("--dry_run",),
    "--source=torchvision": ("--path=googlenet.pth",),
}
# What takes the place of a path.
REPLACED = {"/data/imagenet": "imagenet", "/elsewhere/imagenet": "imagenet"}

# The page whose networks have their real size, without which they could not be imported and exported.
OF_REAL_SIZE = "docs/import_and_export.md"

COMMAND = re.compile(r"(?P<environment>(?:[A-Z_]+=\S+ )*)python -m launch\.(?P<name>\w+)(?P<arguments>.*)")


PAGES_OF_USERS = [page for page in PAGES if page.name != "CONTRIBUTING.md"]
IN_BLOCKS = {
    command
    for page in PAGES_OF_USERS
    for snippet in snippets(page)
    if snippet.is_block
    for command in snippet.commands
}


def commands_to_run(page: pathlib.Path) -> list[str]:
    """Return the commands of a page without a mark, except those in the text that are also in a block."""
    return [
        command
        for snippet in snippets(page)
        for command in snippet.commands
        if snippet.reason is None and (snippet.is_block or command not in IN_BLOCKS)
    ]


@pytest.mark.parametrize("page", PAGES_OF_USERS, ids=page_name)
def test_every_command_can_be_run_here_or_says_why_not(page):
    for snippet in snippets(page):
        assert snippet.reason is None or snippet.reason in REASONS
    for command in commands_to_run(page):
        assert COMMAND.fullmatch(command), f'mark "{command}" with the reason why no test runs it'


def test_every_reason_is_given():
    given = {snippet.reason for page in PAGES_OF_USERS for snippet in snippets(page)}
    assert given - {None} == REASONS


@pytest.mark.parametrize(
    "text",
    [
        "<!-- not run: needs Slurm -->\n\n```bash\nsbatch x\n```\n",
        "<!-- not run: needs Slurm -->\n```python\nx\n```\n",
        "`python -m launch.train` is slow. <!-- not run: needs Slurm -->\n",
    ],
)
def test_a_mark_without_a_command_is_refused(tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match="needs Slurm"):
        snippets(page)


DIGITS, PHOTOGRAPHS = tuple("0123456789"), ("cat", "dog")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, small_table):
    """A directory with what the pages take for granted: images, and runs of small, untrained networks."""
    root = tmp_path_factory.mktemp("prepared")
    (root / "configs").symlink_to(REPOSITORY / "configs")
    (root / "docs").mkdir()
    shutil.copy(REPOSITORY / "docs/seven.png", root / "docs")
    (root / "PHOTO.jpg").write_bytes(encode(photograph(48, 48)))
    wordnet_ids = tuple(imagenet_classes())
    images = tmp_path_factory.mktemp("imagenet")
    (root / "imagenet").symlink_to(images)
    for directory in (
        *(root / "PHOTOS" / name for name in PHOTOGRAPHS),
        *(images / split / name for split in ("train", "val") for name in wordnet_ids),
    ):
        directory.mkdir(parents=True)
        for number in range(1 if directory.is_relative_to(images) else 24):
            (directory / f"{number}.jpg").hardlink_to(root / "PHOTO.jpg")

    def write(name: str, class_names: tuple[str, ...], settings, seed: int = 0) -> None:
        config = resolve(settings)
        run = Run(Row("base"), seed, {}, config, root / name)
        result = result_of_run(0, seed)
        write_run(run, result)
        model = build_model(config.model).clone(table=small_table)
        description = checkpoints.Description(1, to_json_dict(config), class_names, result=result)
        variables = random_variables(model, seed, config.data.image_size)
        checkpoints.write(run.workdir, variables, description)

    digits = config_file.load(f"{REPOSITORY}/configs/mnist_sample.py")
    write("runs/mnist_sample", DIGITS, digits)
    write("runs/batch_norm", DIGITS, {**digits, "model": {**digits["model"], "normalization": "batch"}})
    small = {"image_size": 32, "resize": 36}
    write("runs/imagenet", wordnet_ids, {"data": {"path": str(images), **small}})
    write("runs/torchvision", wordnet_ids, {"model": {"variant": "torchvision"}})
    for seed, name in enumerate("ABC"):
        data = {"path": str(root / "PHOTOS"), **small}
        write(name, PHOTOGRAPHS, {"model": {"num_classes": 2}, "data": data}, seed)
    make_sweep(root / "runs/aux_heads", seeds=2)
    weights = tmp_path_factory.mktemp("weights")
    torch.save(torchvision_model().state_dict(), weights / "googlenet.pth")
    zoo_file(weights / "googlenet-12.onnx")
    for file in weights.iterdir():
        (root / file.name).symlink_to(file)
    return root


def end_before_the_first_step(run) -> dict[str, int]:
    run.checkpoints.close()
    return {"step": 0}


@pytest.fixture
def clone(page, prepared, tmp_path, run_here, monkeypatch, small_table):
    """A function that runs a command in a copy of the prepared directory."""
    monkeypatch.chdir(shutil.copytree(prepared, tmp_path / "clone", symlinks=True))
    monkeypatch.setattr(loop, "_execute", end_before_the_first_step)
    if page_name(page) != OF_REAL_SIZE:

        def build_small(model):
            return build_model(model).clone(table=small_table)

        monkeypatch.setattr(program, "build_model", build_small)
        monkeypatch.setattr(classifier, "build_model", build_small)
    return run_here


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES_OF_USERS if commands_to_run(page)], ids=page_name)
def test_the_commands_of_a_page_run(page, clone, monkeypatch):
    for command in commands_to_run(page):
        if made := re.search(r"launch\.(?:train .*--workdir|import_weights .*--out)=(\S+)", command):
            shutil.rmtree(made[1], ignore_errors=True)
        match = COMMAND.fullmatch(command)
        for variable in shlex.split(match["environment"]):
            monkeypatch.setenv(*variable.split("=", 1))
        arguments = match["arguments"]
        for path, place in REPLACED.items():
            arguments = arguments.replace(path, place)
        added = [flag for part, flags in ADDED.items() if part in command for flag in flags]
        process = clone(match["name"], *shlex.split(arguments), *added)
        assert process.returncode == 0, f"{command}\n{process.stderr}"
        if "--help" not in command:
            json.loads(process.stdout.splitlines()[-1])
