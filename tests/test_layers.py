"""The floors of the house: an import goes down, never up or in a circle."""

import ast
import collections
import graphlib
import pathlib
import re
from collections.abc import Iterator

import pytest

PACKAGE = "flax_googlenet"
LIBRARY = pathlib.Path(__file__).parent.parent / PACKAGE
MODULES = {
    ".".join((PACKAGE, *path.relative_to(LIBRARY).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(LIBRARY.rglob("*.py"))
}

# Rooms from the ground up. The public face, flax_googlenet/__init__.py, stands above all of them.
FLOORS = (
    {"errors", "variants", "table", "runtime", "pictures"},
    {"workers", "paths", "disk"},
    {"progress", "distributed"},
    {"config", "sharding"},
    {"ops"},
    {"models"},
    {"data"},
    {"checkpoints", "inference"},
    {"classifier", "inheritance"},
    {"evaluation", "inspection"},
    {"training"},
    {"interop"},
    {"sweeps"},
)
ABOVE_THE_LIBRARY = {"configs", "launch", "benchmarks", "studies", "notebooks", "docs", "tests"}

MAX_LINES, MAX_MODULES = 400, 12


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of everything that a module imports, at any depth and in any form."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: relative imports hide where a name comes from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and "import" in ast.unparse(node.func):
            yield from (
                value.value
                for value in ast.walk(node)
                if isinstance(value, ast.Constant) and isinstance(value.value, str)
            )


def module_of(name: str) -> str:
    """Return the longest part of a dotted name that is a module of the library; "" if none is."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name


def dependencies(module: str) -> set[str]:
    names = map(module_of, imported(ast.parse(MODULES[module].read_text())))
    return {name for name in names if name} - {module}


def floor(module: str) -> int:
    room = module.split(".")[1] if "." in module else None
    return next((level for level, rooms in enumerate(FLOORS) if room in rooms), len(FLOORS))


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import flax_googlenet.checkpoints", "flax_googlenet.checkpoints"),
        ("import flax_googlenet.checkpoints as c", "flax_googlenet.checkpoints"),
        ("from flax_googlenet import checkpoints", "flax_googlenet.checkpoints"),
        ("from flax_googlenet import load", "flax_googlenet"),
        ("from flax_googlenet.checkpoints import manager", "flax_googlenet.checkpoints.manager"),
        ("from flax_googlenet.checkpoints import find", "flax_googlenet.checkpoints"),
        ("def f():\n    from flax_googlenet.checkpoints import find", "flax_googlenet.checkpoints"),
        ("importlib.import_module('flax_googlenet.checkpoints')", "flax_googlenet.checkpoints"),
        ("__import__('flax_googlenet.checkpoints')", "flax_googlenet.checkpoints"),
        ("import jax", ""),
    ],
)
def test_every_form_of_import_is_seen(statement, module):
    assert list(map(module_of, imported(ast.parse(statement)))) == [module]


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    for name in imported(ast.parse(MODULES[module].read_text())):
        assert name.split(".")[0] not in ABOVE_THE_LIBRARY, f"{module} imports {name}"
    for below in dependencies(module):
        same_room = module.split(".")[:2] == below.split(".")[:2]
        assert same_room or floor(below) < floor(module), f"{module} imports {below}"


def test_no_imports_in_a_circle():
    graphlib.TopologicalSorter({module: dependencies(module) for module in MODULES}).prepare()


def test_no_file_or_directory_is_too_large():
    rooms = ("flax_googlenet", "configs", "launch", "benchmarks", "studies", "docs", "tests")
    files = [path for room in rooms for path in sorted((LIBRARY.parent / room).rglob("*.py"))]
    long = [str(path) for path in files if len(path.read_text().splitlines()) > MAX_LINES]
    modules = collections.Counter(
        str(path.parent)
        for path in files
        if path.name != "__init__.py" and not path.name.startswith(("test_", "conftest"))
    )
    assert not long
    assert not [directory for directory, count in modules.items() if count > MAX_MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_the_library_names_no_flag(module):
    """Who calls the library from Python has none; the commands add theirs to what it says."""
    text = MODULES[module].read_text()
    flags = [line for line in text.splitlines() if re.search(r"--[a-z]", line)]
    assert not flags
