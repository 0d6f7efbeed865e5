"""The README's Python: its calls fit the library, and what needs no download or long run is run."""

import ast
import inspect
import re

import jax
import numpy as np
import pytest

import flax_googlenet
from docs import mnist_sample
from tests.support.commands import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def block_with(text: str) -> str:
    (block,) = [block for block in BLOCKS if text in block]
    return block


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[-1])
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
def test_a_training_loop_of_ones_own():
    code = compile(block_with("import jax, jax.numpy as jnp, optax"), "README.md", "exec")
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
def test_opening_a_checkpoint(trained, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mnist_sample").symlink_to(trained)
    (tmp_path / "docs").symlink_to(REPOSITORY / "docs")
    monkeypatch.chdir(tmp_path)
    exec(block_with('flax_googlenet.load("runs/mnist_sample")'), {})


@pytest.mark.slow
def test_the_picture_is_drawn_from_a_run(trained):
    picture = mnist_sample.draw(trained)
    assert picture.size == (1320, 432)
    assert len(picture.getcolors()) > 10
