"""One host of a run that trains a small network: prints the digests of its rows of every batch.

`python -m tests.distributed.training_host PORT HOSTS HOST WORKDIR FAULT`. The devices are in an order in
which those of a host are not neighbors. With a FAULT of 1, one label of step 25 is another one.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from flax_googlenet import distributed
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh, replicate, split_batch
from flax_googlenet.training import loop, train
from flax_googlenet.training.setup import program
from tests.support.networks import shrink_table

STEP_OF_FAULT = 25  # the first step after the checkpoint from which runs resume

CONFIG = {
    "batch_size": 8,
    "duration": "50 steps",
    "log_every": "1 step",
    "model": {"num_classes": 10, "normalization": "none", "initializer": "he", "aux_heads": 0},
    "data": {
        "source": "mnist_sample",
        "image_size": 32,
        "resize": 36,
        "mirror": True,
        "mean": (33.3, 33.3, 33.3),
        "std": (78.6, 78.6, 78.6),
        "workers": 1,
    },
    "optimizer": {"learning_rate": 0.01, "clip_norm": 2.0},
    "schedule": {"warmup": "10 steps"},
    "evaluation": {"every": "0 steps"},
    "checkpoint": {"every": "25 steps", "keep_last": 9},
}


def small_network(model: Any) -> GoogLeNet:
    return GoogLeNet(
        num_classes=model.num_classes,
        normalization=model.normalization,
        table=shrink_table(),
        aux_heads=0,
        dropout=0.4,
    )


def digests_of_rows(batch: Any, step: int) -> Iterator[tuple[str, str]]:
    for name, array in batch.items():
        for shard in array.addressable_shards:
            rows = range(*shard.index[0].indices(array.shape[0]))
            for index, row in zip(rows, jax.device_get(shard.data), strict=True):
                yield f"{step} {name} {index}", hashlib.sha256(row.tobytes()).hexdigest()[:16]


def digest_of_sum(order: list[jax.Device]) -> str:
    """Return the digest of a sum over the devices, each of which holds a row of random numbers."""
    mesh = data_mesh(order)
    rows = np.random.default_rng(0).normal(size=(len(order), 1001)).astype(np.float32)
    held = jax.make_array_from_callback(rows.shape, split_batch(mesh), lambda index: rows[index])
    add = distributed.compiled_together(jax.jit(lambda x: x.sum(0), out_shardings=replicate(mesh)))
    return hashlib.sha256(np.asarray(add(held).addressable_data(0)).tobytes()).hexdigest()[:16]


def main() -> None:
    port, hosts, host = map(int, sys.argv[1:4])
    workdir = sys.argv[4]
    if hosts > 1:
        distributed.start(f"localhost:{port}", hosts, host)
    order = random.Random(0).sample(jax.devices(), jax.device_count())
    rows: dict[str, str] = {}
    has_fault = sys.argv[5] == "1"
    to_devices = loop.to_devices

    def recorded(batches: Any, steps: range, *arguments: Any) -> Iterator[Any]:
        for step, batch in zip(steps, to_devices(batches, steps, *arguments), strict=True):
            if has_fault and step == STEP_OF_FAULT:
                batch["label"] = batch["label"].at[0].add(1) % 10
            rows.update(digests_of_rows(batch, step))
            yield batch

    loop.data_mesh = lambda: data_mesh(order)
    program.build_model = small_network
    loop.to_devices = recorded
    train(CONFIG, workdir)
    total = digest_of_sum(order)
    distributed.finish()
    print(json.dumps({"devices": jax.device_count(), "rows": rows, "sum": total}), flush=True)


if __name__ == "__main__":
    main()
