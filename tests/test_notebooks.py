"""The notebooks have no outputs, open in Colab, and run on a checkpoint written on other devices."""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Mapping

import nbclient
import nbformat
import pytest

from tests.support import QUICK_TO_COMPILE
from tests.support.commands import REPOSITORY, process_environment, run_module

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
COLAB = "https://colab.research.google.com"

by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: pathlib.Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@by_name
def test_notebook_is_valid_and_without_outputs(path: pathlib.Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in code_cells(notebook):
        assert cell.outputs == [], cell.id
        assert cell.execution_count is None, cell.id


@by_name
def test_badge_opens_the_notebook_itself(path: pathlib.Path) -> None:
    first = read(path).cells[0]
    assert first.cell_type == "markdown"
    place = f"github/OWNER/flax_googlenet/blob/main/{path.relative_to(REPOSITORY)}"
    badge = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({COLAB}/{place})"
    assert first.source.count(badge) == first.source.count(COLAB) // 2 == 1


@by_name
def test_first_code_cell_installs_from_git(path: pathlib.Path) -> None:
    install = code_cells(read(path))[0].source
    assert re.search(
        r'^PACKAGE = "flax-googlenet\[\S+\] @ git\+https://github.com/OWNER/flax_googlenet"$', install, re.M
    )
    assert re.search(r'^if IN_COLAB:.*\n    %pip install --quiet "{PACKAGE}"$', install, re.M)


@by_name
def test_only_what_is_installed_is_imported(path: pathlib.Path) -> None:
    source = "\n".join(cell.source for cell in code_cells(read(path)))
    imported = set(re.findall(r"^ *(?:from|import) (\w+)", source, re.M))
    assert imported.isdisjoint({"configs", "launch", "benchmarks", "studies", "docs", "tests", "tensorflow"})


@by_name
def test_links_to_this_repository_exist(path: pathlib.Path) -> None:
    text = "\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
    assert not re.search(r"\]\((?!https://)", text), "relative links do not work in Colab"
    for target in re.findall(r"\(https://github\.com/OWNER/flax_googlenet/blob/main/([^)#]+)", text):
        assert (REPOSITORY / target).is_file(), target


@by_name
def test_notebook_is_linked_from_the_readme_and_the_docs(path: pathlib.Path) -> None:
    assert f"(notebooks/{path.name})" in (REPOSITORY / "README.md").read_text()
    pages = [page.read_text() for page in sorted((REPOSITORY / "docs").glob("*.md"))]
    assert any(f"(../notebooks/{path.name})" in page for page in pages)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run of two steps on eight devices."""
    directory = tmp_path_factory.mktemp("run")
    flags = {
        "config": "configs/mnist_sample.py",
        "config.data.image_size": 32,
        "config.data.resize": 32,
        "config.duration": "2 steps",
        "config.log_every": "1 step",
        "config.batch_size": 16,
        "workdir": directory,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTS_XLA_FLAGS", QUICK_TO_COMPILE)
        process = run_module(
            "launch.train", *(f"--{name}={value}" for name, value in flags.items()), devices=8
        )
    assert process.returncode == 0, process.stderr
    assert "8 x cpu" in process.stderr
    return directory


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a notebook shows when it has run.

    Attributes:
      printed: the text that it prints.
      tables: its Markdown.
      pictures: number of its pictures.
    """

    printed: str
    tables: str
    pictures: int


def run(path: pathlib.Path, directory: pathlib.Path, settings: Mapping[str, str]) -> Shown:
    """Run a notebook on one device, without the developer's own variables, images or IPython settings."""
    unset = {"CHECKPOINT", "DATA", "IMAGE", "IMAGES", "MPLBACKEND", "WORKDIR"}
    environment = {name: value for name, value in process_environment().items() if name not in unset}
    environment |= {"XLA_FLAGS": QUICK_TO_COMPILE, "IPYTHONDIR": str(directory), **settings}
    notebook = read(path)
    resources = {"metadata": {"path": str(directory)}}
    client = nbclient.NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources)
    client.execute(env=environment)

    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    return Shown(
        "".join(output.text for output in outputs if output.get("name") == "stdout"),
        "\n".join(data["text/markdown"] for data in shown if "text/markdown" in data),
        sum("image/png" in data for data in shown),
    )


def check_restore_and_predict(shown: Shown, _out: pathlib.Path) -> None:
    assert "checkpoints/2\n" in shown.printed
    assert "inception_3a" in shown.tables
    assert shown.pictures == 3  # curves, images, heads


def check_train_and_ablate(shown: Shown, out: pathlib.Path) -> None:
    records = json.loads((out / "results.json").read_text())["runs"]
    assert [record["status"] for record in records] == ["done"] * 3
    assert "3 of 3 runs are complete" in shown.printed
    plan, _, table = shown.tables.partition("difference to both in points")
    for record in records:
        assert f"| {record['row']} |" in plan
        assert f"| {record['row']} | 1 | {100 * record['top1']:.2f} |" in table
    assert shown.pictures == 1


def check_fine_tune(shown: Shown, out: pathlib.Path) -> None:
    result = json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])
    assert "2 - even, odd" in shown.printed
    assert "400 for training, 100 for validation" in shown.printed
    assert re.search(r"^accuracy before: \d+\.\d% \(nearest class mean\)$", shown.printed, re.M)
    assert f"accuracy after:  {result['val/top1']:.1%} on 100 validation images" in shown.printed
    assert shown.pictures == 2  # curves, image


def check_look_inside(shown: Shown, _out: pathlib.Path) -> None:
    assert "First layer. The 64 filters of 7x7 pixels" in shown.printed
    assert shown.printed.count("Grad-CAM: ") == 2
    assert shown.printed.count("rose in each of 2 steps") == 2
    assert shown.pictures == 5  # filters, image, Grad-CAM, DeepDream and its values


# By notebook, environment variables that make it small, and a check of what it shows and writes.
CASES: dict[str, tuple[Mapping[str, str], Callable[[Shown, pathlib.Path], None]]] = {
    "restore_and_predict": ({}, check_restore_and_predict),
    "train_and_ablate": ({"DURATION": "2 steps", "SEEDS": "1"}, check_train_and_ablate),
    "fine_tune": ({"DURATION": "2 steps"}, check_fine_tune),
    "look_inside": ({"STEPS": "2"}, check_look_inside),
}


@pytest.mark.slow
@by_name
def test_notebook_runs(path: pathlib.Path, workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    settings, check = CASES[path.stem]
    out = tmp_path / "run"
    shown = run(path, tmp_path, {"CHECKPOINT": str(workdir), "WORKDIR": str(out), **settings})
    check(shown, out)
    assert "TensorFlow was imported: False" in shown.printed
