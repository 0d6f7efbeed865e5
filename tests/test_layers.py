"""The floors of the house: an import goes down, never up."""

import ast
import pathlib

import pytest

LIBRARY = pathlib.Path(__file__).parent.parent / "flax_googlenet"

# Lowest first. Up to `config` and `sharding` it is the ground that all stand on.
FLOORS = [
    {"errors", "variants", "table", "config_kinds", "compilation"},
    {"config_schema"},
    {"config_names"},
    {"config", "sharding"},
    {"ops"},
    {"models"},
    {"data"},
    {"checkpoints"},
    {"classifier", "inheritance"},
    {"evaluation"},
    {"training"},
    {"pretrained"},
]


def floor(module: str) -> int:
    return next(level for level, names in enumerate(FLOORS) if module in names)


@pytest.mark.parametrize(
    "path", sorted(LIBRARY.rglob("*.py")), ids=lambda path: str(path.relative_to(LIBRARY))
)
def test_imports_go_down(path):
    part = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert not name.startswith(("configs", "launch", "benchmarks")), name
            below = name.removeprefix("flax_googlenet.").split(".")[0]
            if name.startswith("flax_googlenet.") and part not in ("__init__", below):
                assert floor(below) < floor(part) or {below, part} <= FLOORS[floor(part)], name
