"""The notebooks have no outputs, and run from top to bottom on a checkpoint written on other devices."""

import os
import pathlib
import subprocess
import sys

import nbclient
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def read(path: pathlib.Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_without_outputs(path: pathlib.Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    for cell in code_cells(notebook):
        assert cell.outputs == [], cell.id
        assert cell.execution_count is None, cell.id


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
    process = subprocess.run(
        [sys.executable, "-m", "launch.train", *(f"--{name}={value}" for name, value in flags.items())],
        cwd=ROOT,
        env={
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert "8 x cpu" in process.stderr
    return directory


@pytest.mark.slow
def test_restore_and_predict(workdir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # One device, and none of the developer's own variables, images or IPython settings.
    unset = {"XLA_FLAGS", "IMAGES", "MPLBACKEND"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"CHECKPOINT": str(workdir), "JAX_PLATFORMS": "cpu", "IPYTHONDIR": str(tmp_path)}
    notebook = read(ROOT / "notebooks" / "restore_and_predict.ipynb")
    resources = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources)
    client.execute(env=environment)

    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "TensorFlow was imported: False" in printed
    shown = [output.data for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 2
    assert any("inception_3a" in data.get("text/markdown", "") for data in shown)
