"""One host of several: prints its rows of some batches and, for up to two hosts, an evaluation's figures.

`python -m tests.support.host PORT HOSTS HOST`
"""

import hashlib
import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source, to_devices
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, split_batch

CONFIG = {
    "model": {"num_classes": 10, "normalization": "none", "aux_heads": 0},
    "data": {"source": "mnist_sample", "image_size": 32, "resize": 32, "on_error": "skip"},
}
STEPS = range(3, 6)


def evaluate(config: FrozenConfigDict, mesh: Mesh) -> dict[str, Any]:
    model = build_model(config.model)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    val = open_source(config.data, "val")
    return Evaluator([Member(model, config.data)], val, mesh, batch_size=144)([variables])


def main() -> None:
    port, hosts, host = map(int, sys.argv[1:])
    if hosts > 1:
        jax.distributed.initialize(f"localhost:{port}", num_processes=hosts, process_id=host)
    config = resolve(CONFIG)
    mesh = data_mesh()
    batches = TrainBatches(open_source(config.data, "train"), config.data, seed=5, batch_size=8)
    rows = {}
    for step, batch in zip(STEPS, to_devices(batches, STEPS, split_batch(mesh)), strict=True):
        for name, array in batch.items():
            for shard in array.addressable_shards:
                for index, row in zip(
                    range(*shard.index[0].indices(8)), jax.device_get(shard.data), strict=True
                ):
                    rows[f"{step} {name} {index}"] = hashlib.sha256(row.tobytes()).hexdigest()
    # Four hosts compiling side by side on a small machine would reach the time-out of their barrier.
    figures = evaluate(config, mesh) if hosts <= 2 else {}
    print(json.dumps({"devices": jax.device_count(), "rows": rows, "figures": figures}), flush=True)


if __name__ == "__main__":
    main()
