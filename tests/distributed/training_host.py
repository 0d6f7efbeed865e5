"""One host of a run that trains a small network: prints the digests of its rows of every batch.

`python -m tests.distributed.training_host PORT HOSTS HOST WORKDIR SEED`. The devices are in an order in
which those of a host are not neighbors.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from typing import Any

import jax

from flax_googlenet import distributed
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training import loop, train
from tests.support.networks import shrink_table

CONFIG = {
    "batch_size": 8,
    "duration": "50 steps",
    "log_every": "1 step",
    "model": {"num_classes": 10, "normalization": "none", "initializer": "he", "aux_heads": 0},
    "data": {
        **{"source": "mnist_sample", "image_size": 32, "resize": 36, "mirror": True, "workers": 1},
        **{"mean": (33.3, 33.3, 33.3), "std": (78.6, 78.6, 78.6)},
    },
    "optimizer": {"learning_rate": 0.01, "clip_norm": 2.0},
    "schedule": {"warmup": "10 steps"},
    "evaluation": {"every": "0 steps"},
    "checkpoint": {"every": "25 steps", "keep_last": 9},
}


def small_network(model: Any) -> GoogLeNet:
    return GoogLeNet(
        num_classes=model.num_classes, normalization=model.normalization, table=shrink_table(), dropout=0.4
    )


def digests_of_rows(batch: Any, step: int) -> Iterator[tuple[str, str]]:
    for name, array in batch.items():
        for shard in array.addressable_shards:
            rows = range(*shard.index[0].indices(array.shape[0]))
            for index, row in zip(rows, jax.device_get(shard.data), strict=True):
                yield f"{step} {name} {index}", hashlib.sha256(row.tobytes()).hexdigest()[:16]


def main() -> None:
    port, hosts, host = map(int, sys.argv[1:4])
    workdir = sys.argv[4]
    if hosts > 1:
        distributed.start(f"localhost:{port}", hosts, host)
    order = random.Random(0).sample(jax.devices(), jax.device_count())
    rows: dict[str, str] = {}
    to_devices = loop.to_devices

    def recorded(batches: Any, steps: range, *arguments: Any) -> Iterator[Any]:
        for step, batch in zip(steps, to_devices(batches, steps, *arguments), strict=True):
            rows.update(digests_of_rows(batch, step))
            yield batch

    loop.data_mesh = lambda: data_mesh(order)
    loop.build_model = small_network
    loop.to_devices = recorded
    train(CONFIG | {"seed": int(sys.argv[5])}, workdir)
    distributed.finish()
    print(json.dumps({"devices": jax.device_count(), "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
