"""`launch.train` with a small network.

With `LOST=train:5` it kills itself before step 5, with `LOST=evaluate:8` before the evaluation after step 8.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

from flax_googlenet.models import GoogLeNet
from flax_googlenet.training import loop
from flax_googlenet.training.setup import program
from launch import train
from launch.common import command, interrupts
from tests.support.networks import shrink_table


def small_network(model: Any) -> GoogLeNet:
    return GoogLeNet(
        num_classes=model.num_classes, normalization="batch", table=shrink_table(), aux_heads=0, dropout=0.4
    )


def main() -> None:
    interrupts.install()  # as `launch` does only for `python -m launch.NAME`
    kind, _, step_of_loss = os.environ.get("LOST", "").partition(":")

    def maybe_die(what: str, step: int) -> None:
        if what == kind and step == int(step_of_loss):
            os.kill(os.getpid(), signal.SIGKILL)

    to_devices, evaluate = loop.to_devices, loop._Run._evaluate

    def batches(source: Any, steps: range, *arguments: Any) -> Iterator[Any]:
        for step, batch in zip(steps, to_devices(source, steps, *arguments), strict=True):
            maybe_die("train", step + 1)
            yield batch

    def evaluated(run: Any, step: int, *arguments: Any) -> Any:
        maybe_die("evaluate", step)
        return evaluate(run, step, *arguments)

    program.build_model = small_network
    loop.to_devices = batches
    loop._Run._evaluate = evaluated  # type: ignore[method-assign]
    command.run(train.main, default_config=train.CONFIG, if_interrupted=train.after_interruption)


if __name__ == "__main__":
    main()
