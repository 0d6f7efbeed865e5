"""The roof of a network on a chip, and the time and cost of a recipe."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from benchmarks.layers.cases import WITHOUT_PARAMETERS, Case, Operation, network_cases
from benchmarks.layers.timing import Ceilings
from configs import imagenet
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.models import build_model
from flax_googlenet.training.durations import to_steps

TRAINING_IMAGES = 1_281_167
BYTES_PER_VALUE = 2  # bfloat16


@dataclasses.dataclass(frozen=True)
class Chip:
    """An accelerator, by its maker's figures.

    Attributes:
      name: what its users call it.
      ceilings: operations per second in bfloat16 without sparsity, and bytes per second of its memory.
      price: US dollars per hour, an assumption.
    """

    name: str
    ceilings: Ceilings
    price: float


CHIPS = {
    "h100": Chip("H100 SXM", Ceilings(989e12, 3.35e12, "h100"), 3.0),
    "v5e": Chip("TPU v5e", Ceilings(197e12, 819e9, "v5e"), 1.2),
}
MACHINES = {"one H100": ("h100", 1), "eight H100s": ("h100", 8), "v5e-16": ("v5e", 16)}
Recipe = Literal["baseline", "bvlc", "paper", "modern"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)

# Training crops per second of one core, from docs/input_pipeline.md, whose machine has two.
INPUT = {"files": 1285 / 2, "copies with a shorter side of 256": 2580 / 2}


def plan(recipe: Recipe, share: float, measured: Mapping[str, float]) -> dict[str, Any]:
    """Return the size of a recipe, and its time and cost on every machine.

    Args:
      recipe: name of a recipe of configs/imagenet.py.
      share: share of the roof that training reaches.
      measured: measured images per second of one chip, by the chip's name; they replace the estimate.
    """
    config = resolve(imagenet.get_config(recipe=recipe))
    steps = to_steps(config.duration, batch_size=config.batch_size, epoch_size=TRAINING_IMAGES)
    size, batch_size = config.data.image_size, config.batch_size
    cases = network_cases(build_model(config.model), size)
    machines = {}
    for machine, (name, count) in MACHINES.items():
        chip = CHIPS[name]
        roof = 1 / sum(seconds(case, chip.ceilings, batch_size) for case in cases)
        rate = measured.get(name, share * roof)
        hours = steps * batch_size / (rate * count) / 3600
        machines[machine] = {
            "roof_images_per_second": _rounded(roof),
            "images_per_second": _rounded(rate * count),
            "hours": _rounded(hours),
            "dollars": _rounded(hours * count * chip.price),
            "cores": {kind: math.ceil(rate * count / crops) for kind, crops in INPUT.items()},
        }
    return {
        "variant": config.model.variant,
        "image_size": size,
        "batch_size": batch_size,
        "epochs": round(steps * batch_size / TRAINING_IMAGES, 1),
        "gflop_per_image": round(sum(_flops(case) for case in cases) / 1e9, 2),
        "machines": machines,
    }


def seconds(case: Case, ceilings: Ceilings, batch_size: int) -> float:
    """Return the least seconds per image of all passes of a layer; 0 for a module, which is its layers."""
    if case.operation is Operation.INCEPTION:
        return 0.0
    return sum(
        ceilings.roof(case.pass_flops(name), BYTES_PER_VALUE * values_moved(case, name, batch_size))
        for name in case.passes
    )


def values_moved(case: Case, name: str, batch_size: int) -> float:
    """Return how many values of arrays a pass reads and returns, per image.

    Args:
      case: the layer. Of an auxiliary head, only the map that it reads counts.
      name: the pass.
      batch_size: images that share the kernel.

    >>> pool = Case("pool", "", Operation.MAX_POOL, 4, 1, 1, 0, window=2, stride=2)
    >>> values_moved(pool, "forward", 1), values_moved(pool, "input gradient", 1)
    (20.0, 36.0)
    """
    inputs = case.side**2 * case.channels
    outputs = _side_after(case) ** 2 * case.features
    kernel = 0.0
    if case.operation in (Operation.CONVOLUTION, Operation.LINEAR):
        kernel = case.window**2 * case.channels * case.features / batch_size
    if name == "forward" or kernel:
        return inputs + outputs + kernel
    return 2 * inputs + outputs  # reads the input and the gradient of the output


def _side_after(case: Case) -> int:
    if case.operation in (Operation.LINEAR, Operation.AVERAGE_POOL, Operation.AUXILIARY):
        return 1
    return (case.side + sum(case.padding) - case.window) // case.stride + 1


def _flops(case: Case) -> int:
    if case.operation is Operation.INCEPTION or case.operation in WITHOUT_PARAMETERS:
        return 0
    return sum(case.pass_flops(name) for name in case.passes)


def rates(texts: Sequence[str]) -> dict[str, float]:
    """Return the rates of --images_per_second by the names of chips.

    Raises:
      UserError: if there is no such chip, or a rate is not positive.
    """
    measured = {}
    for text in texts:
        name, _, rate = text.partition("=")
        if name not in CHIPS:
            raise UserError(f'--images_per_second has no chip "{name}"; {did_you_mean(name, CHIPS)}')
        try:
            measured[name] = float(rate)
        except ValueError:
            measured[name] = math.nan
        if not 0 < measured[name] < math.inf:
            raise UserError(f'"{text}" in --images_per_second is no rate; write {name}=9000, for example.')
    return measured


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
