"""The site of these pages, built by `make docs`; and by `make site`, which runs the notebooks for it."""

import importlib.metadata
import os
import pathlib
import re
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
    "myst_nb",  # and with it myst_parser
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_heading_anchors = 4  # GitHub's anchors, by which the pages link to each other

# Notebooks have no outputs in git. Sphinx reads only this directory, so `docs/notebooks` is a link to them.
nb_execution_mode = os.environ.get("NOTEBOOKS", "off")
nb_execution_raise_on_error = True
nb_execution_timeout = -1  # some cells train
nb_output_stderr = "remove"  # log lines
nb_render_markdown_format = "myst"  # with tables

default_role = "code"  # docstrings are written with single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
add_module_names = False
napoleon_google_docstring = True


def setup(app: Any) -> None:
    """Connect what Sphinx calls while it builds."""
    app.connect("autodoc-skip-member", _skip_member)
    app.connect("source-read", _link_notebooks)


def _skip_member(_app: Any, _kind: str, name: str, _member: Any, skip: bool, _options: Any) -> bool:
    """Leave out what Flax adds to the fields of every module."""
    return skip or name in ("name", "parent", "scope", "setup")


def _link_notebooks(_app: Any, _name: str, source: list[str]) -> None:
    """Turn links to the files of notebooks, which are for GitHub, into links to their pages."""
    source[0] = re.sub(r"\]\(\.\./(notebooks/\w+)\.ipynb\)", r"](\1)", source[0])
