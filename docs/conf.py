"""The site of these pages, built by `make docs`."""

import importlib.metadata
import pathlib
import sys
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

project = "flax_googlenet"
release = importlib.metadata.version("flax-googlenet")
html_title = f"{project} {release}"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
exclude_patterns = ["_build"]

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_heading_anchors = 4  # GitHub's anchors, by which the pages link to each other
default_role = "code"  # docstrings are written with single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
napoleon_google_docstring = True


def setup(app: Any) -> None:
    """Connect what Sphinx calls while it builds."""
    app.connect("autodoc-skip-member", _skip_member)


def _skip_member(_app: Any, _kind: str, name: str, _member: Any, skip: bool, _options: Any) -> bool:
    """Leave out what Flax adds to the fields of every module."""
    return skip or name in ("name", "parent", "scope", "setup")
