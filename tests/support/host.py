"""One host of several: prints its rows of some batches and an evaluation's figures.

`python -m tests.support.host PORT HOSTS HOST SECONDS`, where SECONDS is how long each compilation of this
host takes at least, and the devices are in an order in which those of a host are not neighbors.
"""

import hashlib
import json
import random
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet import distributed
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


def compile_slowly(seconds: float) -> None:
    compile_at_once = jax.stages.Lowered.compile

    def compile_later(*arguments: Any, **options: Any) -> Any:
        time.sleep(seconds)
        return compile_at_once(*arguments, **options)

    jax.stages.Lowered.compile = compile_later  # type: ignore[method-assign]


def main() -> None:
    port, hosts, host, seconds = map(int, sys.argv[1:])
    if hosts > 1:
        distributed.start(f"localhost:{port}", hosts, host)
    compile_slowly(seconds)
    config = resolve(CONFIG)
    mesh = data_mesh(random.Random(0).sample(jax.devices(), jax.device_count()))
    batches = TrainBatches(open_source(config.data, "train"), config.data, seed=5, batch_size=8)
    rows = {}
    for step, batch in zip(STEPS, to_devices(batches, STEPS, split_batch(mesh)), strict=True):
        for name, array in batch.items():
            for shard in array.addressable_shards:
                for index, row in zip(
                    range(*shard.index[0].indices(8)), jax.device_get(shard.data), strict=True
                ):
                    rows[f"{step} {name} {index}"] = hashlib.sha256(row.tobytes()).hexdigest()
    figures = evaluate(config, mesh)
    distributed.finish()
    print(json.dumps({"devices": jax.device_count(), "rows": rows, "figures": figures}), flush=True)


if __name__ == "__main__":
    main()
