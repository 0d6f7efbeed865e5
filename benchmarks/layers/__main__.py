"""Measure each layer of a network beside what the machine reaches at most: a roofline.

  python -m benchmarks.layers
  python -m benchmarks.layers --variant=torchvision --peer=torch --out=FILE.json --picture=FILE.png

Times the forward pass, the gradient of the input and that of the kernel for every row of the network's table
and for every layer in a row, and counts their operations and bytes. The bytes are those of the arrays that a
pass reads and returns. The ceilings are measured in the same run: the rate of a large matrix product, and the
bandwidth of a + 3 b on large arrays. The roof is the least time that both allow. Small arrays stay in the
cache, so a pass that is limited by memory can take less.
"""

import os
import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

from benchmarks.conditions import conditions, write_result
from benchmarks.layers import figures, picture
from benchmarks.layers.cases import Case, network_cases
from benchmarks.layers.timing import Options
from benchmarks.layers.worker import Worker
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.models import build_model
from flax_googlenet.paths import local_path
from flax_googlenet.pictures import save_picture
from flax_googlenet.variants import VARIANTS
from launch.common import command

_VARIANT = flags.DEFINE_enum("variant", "paper", list(VARIANTS), "Network whose layers are measured.")
_ROWS = flags.DEFINE_list("rows", [], "Rows to measure, such as conv1,inception_3a; all if empty.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "Images in a batch.", lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 224, "Side of an image in pixels.", lower_bound=32)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Dtype of activations and kernels.")
_SECONDS = flags.DEFINE_float("seconds", 0.3, "Time to spend on each pass of each layer.", lower_bound=0.0)
_PEER = flags.DEFINE_enum("peer", None, ["torch"], "Library to measure the same layers with.")
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")
_PICTURE = flags.DEFINE_string("picture", None, "PNG or SVG file for the roofline.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the processes share a GPU
    config = resolve({"model": {"variant": _VARIANT.value, "num_classes": 1000}})
    cases = _select(network_cases(build_model(config.model), _IMAGE_SIZE.value), _ROWS.value)
    options = Options(_BATCH_SIZE.value, _DTYPE.value, _SECONDS.value)
    names = ["ours"] + ([_PEER.value] if _PEER.value else [])
    workers = [Worker(name, options) for name in names]
    try:
        ceilings = [worker.ceilings() for worker in workers]
        measured = []
        for number, case in enumerate(cases):
            measured.append({worker.name: worker.measure(case) for worker in workers})
            times = ", ".join(f"{name} {1e3 * t.seconds:.2f} ms" for name, t in measured[-1]["ours"].items())
            print(f"{number + 1}/{len(cases)} {case.name}, {case.shape}: {times}", file=sys.stderr)
            if number == len(cases) // 2:
                ceilings += [worker.ceilings() for worker in workers]
        ceilings += [worker.ceilings() for worker in workers]
    finally:
        for worker in workers:
            worker.close()
    result: dict[str, Any] = {
        "variant": _VARIANT.value,
        "batch_size": options.batch_size,
        "image_size": _IMAGE_SIZE.value,
        "dtype": options.dtype,
        **figures.result(cases, measured, ceilings, options.batch_size),
        "conditions": conditions(names[1:], device=f"1 x {ceilings[0].device}"),
    }
    write_result(_OUT.value, result)
    if _PICTURE.value:
        save_picture(picture.draw(result), local_path(_PICTURE.value))
    return {"ceilings": result["ceilings"], **result["totals"]["all layers"]}


def _select(cases: Sequence[Case], rows: Sequence[str]) -> Sequence[Case]:
    known = {case.row for case in cases}
    for row in rows:
        if row not in known:
            raise UserError(f"{_VARIANT.value} has no row {row}; {did_you_mean(row, known)}")
    return [case for case in cases if case.row in rows or not rows]


if __name__ == "__main__":
    command.run(main)
