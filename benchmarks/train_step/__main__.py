"""Measure the training step, as users run it, beside the same step in PyTorch.

  python -m benchmarks.train_step
  python -m benchmarks.train_step --variant=torchvision,bvlc,vgg16 --checkout=ANOTHER_CLONE --out=FILE.json
  python -m benchmarks.train_step --batch_size=256 --dtype=bfloat16 \
      --peer=torch_eager,torch_compile,torch_cuda_graphs,torch_max_autotune      (on a GPU)
  python -m benchmarks.train_step --stages --steps_in_program=8 --xla_options=xla_cpu_enable_fast_math=true

Every step takes a batch of uint8 images on the device, flips and normalizes them, computes the losses of all
heads, top-1 and the gradients, and updates the weights by SGD with momentum and weight decay. The variants
torchvision and vgg16 have their counterparts in torchvision, bvlc and paper in benchmarks/peers.

--stages, --steps_in_program and --xla_options leave the peers out and measure our step beside the same step
with one change: a fast path that is switched off where it is on for this platform, and on elsewhere; several
steps in one compiled program; or an option of XLA. They are pairs, since all steps at once would take more
memory than most machines have.

Each form runs in its own process. They take turns in rounds, and ratios are those within a round. Other
processes distort the result: if they used more than a tenth of the cores, the exit status is 3.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import clone_at, write_result
from benchmarks.harness import command as harness
from benchmarks.harness.forms import Form
from benchmarks.harness.rounds import measure
from benchmarks.peers.options import TORCH_MODES, pixels_of
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.ops.fast_paths import FAST_PATHS
from launch.common import command

VARIANTS = ("torchvision", "bvlc", "paper", "vgg16")
PEERS = tuple(TORCH_MODES)

_VARIANT = flags.DEFINE_list(
    "variant", ["torchvision"], f"Variants of the network, of {', '.join(VARIANTS)}."
)
_PEER = flags.DEFINE_list(
    "peer", ["torch_eager", "torch_compile"], f"Peers, of {', '.join(PEERS)}; none for none."
)
_CHECKOUT = flags.DEFINE_string("checkout", "", "Another clone of the project to measure too.")
_STAGES = flags.DEFINE_bool("stages", False, "Whether to measure each fast path on and off, without peers.")
_STEPS_IN_PROGRAM = flags.DEFINE_integer(
    "steps_in_program", 1, "If above 1, also measure this many steps in one program.", lower_bound=1
)
_XLA_OPTIONS = flags.DEFINE_list(
    "xla_options", [], "XLA's options, NAME=VALUE, to try in turn, without peers."
)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch.", lower_bound=2)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of the activations.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")
flags.adopt_module_key_flags(harness)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    variants = harness.chosen("variant", _VARIANT.value, VARIANTS)
    peers = harness.chosen("peer", _PEER.value, PEERS)
    options = xla_options()
    compared: dict[str, list[Form]] = {}
    for variant in variants:
        alternatives = [*stages(variant), *in_one_program(variant), *options_of(variant, options)]
        if alternatives:
            compared |= {f"{variant}, {form.name}": [ours("ours", variant), form] for form in alternatives}
        else:
            compared[variant] = forms(variant, peers)
    measurements = {
        name: functools.partial(measure, chosen, **harness.settings()) for name, chosen in compared.items()
    }
    result = {
        "batch_size": _BATCH_SIZE.value,
        "image_size": _IMAGE_SIZE.value,
        "dtype": _DTYPE.value,
        **harness.run_all(measurements, packages=("jaxlib", "torch", "torchvision")),
    }
    for measured in result["results"].values():
        harness.add_images_per_second(measured, _BATCH_SIZE.value)
    write_result(_OUT.value, result)
    return result


def forms(variant: str, peers: Sequence[str]) -> list[Form]:
    """Return our step, its peers and the step of another commit."""
    config = resolve(config_of(variant))
    options = {
        "variant": variant,
        "batch_size": config.batch_size,
        "image_size": config.data.image_size,
        "dtype": config.model.dtype,
        "num_classes": config.model.num_classes,
        "pixels": pixels_of(config),
        "optimizer": {key: config.optimizer[key] for key in ("learning_rate", "momentum", "weight_decay")},
        "aux_weight": config.loss.aux_weight,
    }
    chosen = [ours("ours", variant)]
    chosen += [
        Form(peer, "benchmarks.train_step.torch_step:build", {**options, "peer": peer}) for peer in peers
    ]
    if _CHECKOUT.value:
        chosen.append(ours("checkout", variant, checkout=str(clone_at(_CHECKOUT.value))))
    return chosen


def stages(variant: str) -> list[Form]:
    """Return our step with each fast path switched, and with all of them, if --stages asks for it."""
    if not _STAGES.value:
        return []
    one = [ours(f"{name} switched", variant, switched=[name]) for name in FAST_PATHS]
    return [*one, ours("all switched", variant, switched=list(FAST_PATHS))]


def in_one_program(variant: str) -> list[Form]:
    """Return our step as several in one compiled program, if --steps_in_program asks for it."""
    steps = _STEPS_IN_PROGRAM.value
    return [ours(f"{steps} steps in one program", variant, steps=steps)] if steps > 1 else []


def options_of(variant: str, options: Mapping[str, Any]) -> list[Form]:
    """Return our step with one of XLA's options, for each of them."""
    return [ours(f"{name}={value}", variant, xla_options={name: value}) for name, value in options.items()]


def ours(name: str, variant: str, *, checkout: str = "", **options: Any) -> Form:
    """Return our step as a form, with options of `jax_step.build`."""
    build = "benchmarks.train_step.jax_step:build"
    return Form(name, build, {"config": config_of(variant), **options}, checkout)


def xla_options() -> dict[str, Any]:
    """Return the values of --xla_options by name.

    Raises:
      UserError: if one is not NAME=VALUE.
    """
    options = {}
    for option in _XLA_OPTIONS.value:
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise UserError(
                f'--xla_options has "{option}"; write NAME=VALUE, such as xla_cpu_enable_fast_math=false.'
            )
        try:  # XLA takes truth values and numbers as such, not as text.
            options[name] = json.loads(value.lower())
        except ValueError:
            options[name] = value
    return options


def config_of(variant: str) -> dict[str, Any]:
    """Return the config of the step."""
    return {
        "batch_size": _BATCH_SIZE.value,
        "model": {"variant": variant, "num_classes": 1000, "dtype": _DTYPE.value},
        "data": {"image_size": _IMAGE_SIZE.value, "resize": _IMAGE_SIZE.value},
        "optimizer": {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 2e-4},
    }


if __name__ == "__main__":
    command.run(main, exit_status=harness.exit_status)
