"""The shipped searches: their spaces fit every base, whose values are the first trial."""

import ast
import pathlib

import pytest

from flax_googlenet.config import flatten
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.sweeps.space import check_space
from launch.common import config_file

ROOT = pathlib.Path(__file__).parents[2]
SEARCHES = sorted((ROOT / "configs/searches").glob("*.py"))


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_all_searches_are_here():
    assert {path.stem for path in SEARCHES} == {"optimizer"}


@pytest.mark.parametrize("base", ["mnist_sample", "imagenet"])
@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_the_base_lies_in_the_space(path, base):
    search = config_file.load_search(f"{path}:base={base}")
    config = flatten(resolve_config(config_file.load(config_file.path_of(search.base))))
    for key, domain in check_space(search.space).items():
        assert config[key] in domain, key


@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_is_a_lab_note_that_imports_its_space_only(path):
    tree = ast.parse(path.read_text())
    assert f"launch.sweep --search=configs/searches/{path.name}" in ast.get_docstring(tree)
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {
        "flax_googlenet.sweeps"
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
