"""Estimate the time and cost of the recipes of configs/imagenet.py on accelerators, and the input they need.

  python -m benchmarks.imagenet_plan --out=benchmarks/results/imagenet_plan.json
  python -m benchmarks.imagenet_plan --images_per_second=h100=9000    (a rate that you have measured)

Nothing is measured here. The operations and the bytes of every pass of every layer are counted, with arrays
in bfloat16. The roof of a pass is the least time in which a chip can compute the one and move the other. The
plan assumes a share of the roof, for the reasons in docs/imagenet_plan.md.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from benchmarks.imagenet_plan.estimate import CHIPS, RECIPES, plan, rates
from launch.common import command

_SHARE = flags.DEFINE_float("share", 0.25, "Share of the roof that training reaches.", 0.01, 1.0)
_MEASURED = flags.DEFINE_list("images_per_second", [], "Measured rates of one chip, such as h100=9000.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Write the estimates and return the hours of each recipe on one H100."""
    command.refuse_arguments(arguments)
    measured = rates(_MEASURED.value)
    recipes = {name: plan(name, _SHARE.value, measured) for name in RECIPES}
    result = {
        "share": _SHARE.value,
        "measured": measured,
        "chips": {
            chip.name: {
                "tflop_per_second": chip.ceilings.flops / 1e12,
                "gb_per_second": chip.ceilings.bandwidth / 1e9,
                "dollars_per_hour": chip.price,
            }
            for chip in CHIPS.values()
        },
        "recipes": recipes,
        "conditions": conditions(device="none"),
    }
    write_result(_OUT.value, result)
    return {"hours": {name: recipe["machines"]["one H100"]["hours"] for name, recipe in recipes.items()}}


if __name__ == "__main__":
    command.run(main)
