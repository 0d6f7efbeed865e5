"""The README and the pages of docs/: links resolve, commands and calls fit, and examples run."""

import ast
import functools
import inspect
import os
import pathlib
import re
import tomllib
import urllib.parse

import jax
import numpy as np
import pytest

import flax_googlenet
from docs import mnist_sample
from flax_googlenet.config.schema import KEYS
from tests.support.commands import REPOSITORY, defined_flags
from tests.support.pages import PAGES, blocks, commands, page_name


def python_block(page: str, text: str) -> str:
    (block,) = [block for block in blocks(REPOSITORY / page, "python") if text in block]
    return block


def without_blocks(page: pathlib.Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: pathlib.Path) -> list[str]:
    """Return the targets of the relative links of a page."""
    targets = re.findall(r"\]\(([^)\s]+)\)", without_blocks(page))
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def anchors(page: pathlib.Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_and_their_anchors_exist(page):
    for target in links(page):
        path, _, anchor = target.partition("#")
        linked = pathlib.Path(os.path.normpath(page.parent / path)) if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked), target


def test_badges_say_what_pyproject_says():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    oldest = dict(requirement.split(">=") for requirement in project["dependencies"])
    shown = {
        "Python": f"{project['requires-python'].removeprefix('>=')}+",
        "JAX": f"{oldest['jax']}+",
        "License": project["license"],
    }
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for name, value in shown.items():
        label = urllib.parse.quote(value.replace("-", "--"))
        assert re.search(rf"\[!\[{name} {re.escape(value)}\]\(\S+/badge/{name}-{label}-\w+\)\]", readme)
    assert readme.count("/badge/") == len(shown) + 1, "and one for the documentation"


def test_every_page_of_the_docs_is_linked_from_another():
    linked = {
        pathlib.Path(os.path.normpath(page.parent / target.partition("#")[0]))
        for page in PAGES
        for target in links(page)
    }
    assert set(PAGES) - {REPOSITORY / "README.md"} <= linked


def test_contributing_shows_the_tree_as_it_is():
    """Every path in the tree exists, and no directory of the library is left out."""
    (tree,) = [block for block in blocks(REPOSITORY / "CONTRIBUTING.md", "") if "flax_googlenet/" in block]
    shown: set[pathlib.Path] = set()
    parents: list[str] = []
    for line in tree.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [name]
        path = REPOSITORY.joinpath(*parents)
        assert path.is_dir() if name.endswith("/") else path.is_file(), path
        shown.add(path)
    library = REPOSITORY / "flax_googlenet"
    packages = {path.parent for path in library.glob("*/__init__.py")} | {
        path.parent for path in library.glob("data/*/__init__.py")
    }
    assert packages <= shown
    modules = {*library.glob("*.py"), *library.glob("data/*.py")} - {library / "data/__init__.py"}
    assert modules <= shown


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_exist_with_their_flags_and_keys(page):
    for module, *arguments in commands(page):
        if module == "pytest" or "NAME" in module:  # pytest has no flags of ours, and NAME is a placeholder
            continue
        flags = defined_flags(module)
        for argument in arguments:
            if not argument.startswith("--"):
                continue
            flag, _, value = argument.removeprefix("--").partition("=")
            if flag.startswith("config."):
                key = flag.removeprefix("config.")
                assert key in KEYS, argument
                KEYS[key].check(literal(value))
            elif flag == "config":
                assert (REPOSITORY / value.partition(":")[0]).is_file(), argument
            else:
                assert flag in flags, f"{module} {argument}"


def literal(value: str) -> object:
    """Return a value of the command line as Python has it."""
    if value in ("true", "false"):
        return value == "true"
    try:
        return ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_packages_are_installed_from_a_clone_or_from_git(page):
    text = page.read_text(encoding="utf-8")
    for requirement in re.findall(r'pip install[^\n`]*"flax-googlenet[^"]*"', text):
        assert "@ git+https://" in requirement


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page_name(page)}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, "python"))
    ],
)
def test_calls_fit_the_library(block):
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.ImportFrom) and node.module == "flax_googlenet":
            assert {alias.name for alias in node.names} <= set(flax_googlenet.__all__)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = {"flax_googlenet": flax_googlenet, "classifier": flax_googlenet.Classifier}.get(
                getattr(node.func.value, "id", "")
            )
            if owner is None:
                continue
            called = getattr(owner, node.func.attr)
            itself = [None] if inspect.isclass(owner) else []
            keywords = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(called).bind(*itself, *node.args, **keywords)


@pytest.mark.slow
def test_your_own_training_loop(small_table, monkeypatch):
    small_network = functools.partial(flax_googlenet.GoogLeNet, table=small_table)  # compiles in seconds
    monkeypatch.setattr(flax_googlenet, "GoogLeNet", small_network)
    code = compile(python_block("docs/networks.md", "optax"), "docs/networks.md", "exec")
    names: dict = {}
    # A script's promotions are Flax's usual ones.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(code, names)
    assert np.isfinite(names["loss"])
    assert names["logits"].shape == (8, 10)
    before, after = names["variables"], {"params": names["params"], "batch_stats": names["batch_stats"]}
    for path, leaf in jax.tree_util.tree_leaves_with_path(after):
        start = before
        for part in path:
            start = start[part.key]
        assert np.isfinite(leaf).all(), path
        assert not np.array_equal(start, leaf), f"{path} was not trained"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/predict.md", "docs/checkpoints.md", "docs/inspect.md"])
def test_opening_a_checkpoint(page, trained, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mnist_sample").symlink_to(trained)
    (tmp_path / "docs").symlink_to(REPOSITORY / "docs")
    monkeypatch.chdir(tmp_path)
    exec(python_block(page, 'flax_googlenet.load("runs/mnist_sample")'), {})


@pytest.mark.slow
def test_the_picture_is_drawn_from_a_run(trained):
    picture = mnist_sample.draw(trained)
    assert picture.size == (1320, 432)
    assert len(picture.getcolors()) > 10
