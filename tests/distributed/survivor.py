"""One process of a run from which others may be lost: it goes on with those that are left.

`python -m tests.distributed.survivor PORT PROCESSES PROCESS LOST_AT`, where the last process kills itself
before step LOST_AT.
"""

import json
import os
import signal
import sys
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh, put_copies, replicate, split_batch
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from tests.support.networks import shrink_table

STEPS = 6
BATCH = 12  # divisible by three devices, and by two
CONFIG = {"batch_size": BATCH, "model": {"num_classes": 4, "aux_heads": 0}, "data": {"image_size": 32}}


def batch_of(step: int) -> dict[str, Any]:
    draw = np.random.default_rng(step)
    images = draw.integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
    return {"image": images, "label": draw.integers(0, 4, BATCH).astype(np.int32)}


class Run:
    """The step and its shardings over the devices that are left."""

    def __init__(self, devices: list[jax.Device]) -> None:
        self.devices = devices
        config = resolve(CONFIG)
        model = GoogLeNet(num_classes=4, table=shrink_table(), aux_heads=0)
        optimizer = build_optimizer(config.optimizer, lambda _: 0.05)
        mesh = data_mesh(devices)
        self.everywhere, self._split = replicate(mesh), split_batch(mesh)
        self._step = make_train_step(config, model, optimizer, lambda _: 0.05, mesh, averaging_start=0)
        self.initial = jax.jit(lambda: initial_state(config, model, optimizer))

    def take_step(self, state: Any, step: int) -> tuple[Any, float]:
        """Return the state after a step, on the host, and the loss."""
        batch = {
            name: jax.make_array_from_callback(array.shape, self._split, array.__getitem__)
            for name, array in batch_of(step).items()
        }
        state, metrics = self._step(put_copies(state, self.everywhere), batch)
        state, loss = jax.device_get((state, metrics["loss"]))
        return state, float(loss)


def main() -> None:
    port, processes, process, lost_at = map(int, sys.argv[1:])
    if processes > 1:
        jax.config.update("jax_enable_recoverability", True)
        jax.config.update("jax_enable_preemption_service", False)
        jax.distributed.initialize(f"localhost:{port}", processes, process, heartbeat_timeout_seconds=10)
    run = Run(jax.devices())
    state = jax.device_get(run.initial())
    losses: list[float] = []
    used: list[int] = []
    while len(losses) < STEPS:
        if processes > 1 and process == processes - 1 and len(losses) == lost_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if processes == 1:
            after, loss = run.take_step(state, len(losses))
        else:
            try:
                with multihost_utils.live_devices(jax.devices()) as alive:
                    if alive != run.devices:
                        run = Run(alive)
                    after, loss = run.take_step(state, len(losses))
            except multihost_utils.ProcessFailureError as error:
                print(f"lost {len(error.failed_devices)} of {len(run.devices)} devices", file=sys.stderr)
                continue
        state = after
        losses.append(loss)
        used.append(len(run.devices))
    print(json.dumps({"losses": losses, "devices": used}), flush=True)


if __name__ == "__main__":
    main()
