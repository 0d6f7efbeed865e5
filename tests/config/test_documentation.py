"""One row of the table of keys is all that checks, help and documentation need."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from docs import config
from flax_googlenet.config.schema import KEYS
from launch.common import usage
from tests.support.commands import REPOSITORY, process_environment


def test_the_page_is_current():
    assert config.PAGE.read_text(encoding="utf-8") == config.page(), "run python -m docs.config"


def test_every_key_is_on_the_page_and_in_the_help():
    page, table = config.page(), usage.of_config(())
    for key in KEYS.values():
        assert f"| `{key.name}`" in page
        assert re.search(rf"^{re.escape(key.name)} ", table, flags=re.MULTILINE)


def test_the_help_fits_in_100_columns():
    assert max(map(len, usage.of_config(()).splitlines())) <= 100


def test_the_help_of_some_sections_has_no_other_keys():
    table = usage.of_config(("data", "evaluation"))
    names = re.findall(r"^([a-z]+\.[a-z_]+) ", table, flags=re.MULTILINE)
    assert names == [key.name for key in KEYS.values() if key.section in ("data", "evaluation")]


def test_the_defaults_of_variants_are_shown():
    assert KEYS["model.dropout"].variant_defaults == {"torchvision": 0.2, "bn": 0.2, "vgg16": 0.5}
    assert KEYS["seed"].variant_defaults == {}
    assert "| `model.dropout` | `0.4`<br>torchvision `0.2`<br>bn `0.2`<br>vgg16 `0.5` |" in config.page()


ROW = """
    Key("optimizer.slow_steps", 5, Whole(at_least=1),
        "Number of steps between two updates of the slow weights.", aliases=("lookahead",)),
"""

USES_OF_A_KEY = """
import json
from docs.config import page
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from launch.common import usage

def error_of(config):
    try:
        resolve(config)
    except UserError as error:
        return str(error)

print(json.dumps({
    "default": resolve({}).optimizer.slow_steps,
    "refusal": error_of({"optimizer": {"slow_steps": 0}}),
    "suggestion": error_of({"lookahead": 3}),
    "help": usage.of_config(()),
    "page": page(),
}))
"""


@pytest.mark.slow
def test_a_new_row_appears_in_checks_help_and_documentation(tmp_path):
    """In a copy of the repository whose table has one more row."""
    for name in ("flax_googlenet", "launch", "docs"):
        shutil.copytree(REPOSITORY / name, tmp_path / name)
    schema = tmp_path / "flax_googlenet/config/schema.py"
    schema.write_text(schema.read_text().replace("\n_ROWS = (\n", f"\n_ROWS = ({ROW}"))

    process = subprocess.run(
        [sys.executable, "-c", USES_OF_A_KEY],
        cwd=tmp_path,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    uses = json.loads(process.stdout)
    assert uses["default"] == 5
    assert uses["refusal"] == (
        "config.optimizer.slow_steps is 0; it must be a whole number of at least 1, such as 5."
    )
    assert uses["suggestion"] == ('The config has no key "lookahead"; did you mean "optimizer.slow_steps"?')
    assert re.search(
        r"^optimizer.slow_steps +5 +Number of steps between two updates", uses["help"], re.MULTILINE
    )
    assert (
        "| `optimizer.slow_steps` | `5` | a whole number of at least 1 "
        "| Number of steps between two updates of the slow weights. |"
    ) in uses["page"]
