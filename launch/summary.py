"""Print the layers of a network with their parameters, multiply-adds and activations.

  python -m launch.summary --config=configs/imagenet.py
  python -m launch.summary --config=configs/imagenet.py:torchvision --out=TABLE.md
  python -m launch.summary --compare=vgg16

The table has the columns of the paper's Table 1, computed from the Flax module, beside the paper's own
figures.
"""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import Summary, compare, summarize
from flax_googlenet.paths import explaining_bucket_errors, user_path
from launch.common import command

_OUT = flags.DEFINE_string("out", None, "Markdown file to write the table to, instead of the terminal.")
_COMPARE = flags.DEFINE_string("compare", None, "Variant to compare the network with, such as vgg16.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    config = command.config()
    summary = summarize(build_model(config.model), config.data.image_size)
    table = summary.to_markdown()
    result: dict[str, Any] = _figures(summary)
    if _COMPARE.value:
        other = resolve({"model": {"variant": _COMPARE.value, "num_classes": config.model.num_classes}})
        compared = summarize(build_model(other.model), config.data.image_size)
        table += "\n" + compare((config.model.variant, summary), (_COMPARE.value, compared)) + "\n"
        ratio = round(summary.params / compared.params, 4)
        result["compare"] = {"variant": _COMPARE.value, "params_ratio": ratio, **_figures(compared)}
    if _OUT.value:
        try:
            path = user_path(_OUT.value)
            with explaining_bucket_errors(path, "write"):
                path.write_text(table)
        except OSError as error:
            raise UserError(f"Cannot write {_OUT.value}: {error.strerror}; choose another --out.") from error
    else:
        print(table, file=sys.stderr)
    return result


def _figures(summary: Summary) -> dict[str, int]:
    names = ("params", "params_with_aux", "multiply_adds", "activation_bytes")
    return {name: getattr(summary, name) for name in names}


if __name__ == "__main__":
    command.run(main, default_config="configs/imagenet.py")
