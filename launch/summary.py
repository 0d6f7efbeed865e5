"""Print a network's table, computed from the module itself, beside the paper's own columns.

python -m launch.summary --config=configs/imagenet.py
python -m launch.summary --config=configs/imagenet.py --config.model.stem_reduce=false --out=TABLE.md
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.errors import UserError
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from launch import command

_OUT = flags.DEFINE_string("out", None, "Markdown file for the table, in place of the terminal.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    config = command.config()
    summary = summarize(build_model(config.model), config.data.image_size)
    table = summary.to_markdown()
    if _OUT.value:
        try:
            pathlib.Path(_OUT.value).write_text(table, encoding="utf-8")
        except OSError as error:
            raise UserError(f"Cannot write {_OUT.value}: {error.strerror}; choose another --out.") from error
    else:
        print(table, file=sys.stderr)
    return {
        "params": summary.params,
        "params_with_aux": summary.params_with_aux,
        "multiply_adds": summary.multiply_adds,
    }


if __name__ == "__main__":
    command.run(main, config_file="configs/imagenet.py")
