"""Exact evaluation: every example once, on any number of devices."""

import math
from collections.abc import Mapping
from typing import Any

import jax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.data import EvaluationBatches, Source, augmentation, to_devices
from flax_googlenet.evaluation import metrics
from flax_googlenet.sharding import replicate, split_batch


class Evaluator:
    """Evaluates one network on one source; compiles once, whatever the weights."""

    def __init__(self, config: FrozenConfigDict, model: nn.Module, source: Source, mesh: Mesh) -> None:
        """Compile for batches of `config.evaluation.batch_size`, rounded up to the devices."""
        devices = mesh.shape["data"]
        batch_size = -(-min(config.evaluation.batch_size, len(source)) // devices) * devices
        self._batches = EvaluationBatches(source, config.data, batch_size)
        self._split = split_batch(mesh)

        def step(variables: Mapping[str, Any], batch: dict[str, jax.Array]) -> dict[str, jax.Array]:
            images = augmentation.normalize(batch["image"], config.data)
            outputs: Any = model.apply(variables, images)
            return metrics.sums(outputs["logits"], batch["label"], batch["mask"])

        self._everywhere = replicate(mesh)
        self._step = jax.jit(
            step, in_shardings=(self._everywhere, self._split), out_shardings=self._everywhere
        )

    def __call__(self, variables: Mapping[str, Any]) -> dict[str, float | int]:
        """Evaluate weights.

        Args:
          variables: "params" and "batch_stats" of the network.

        Returns:
          "top1" and "top5" as shares, "loss" as the mean cross-entropy in nats, and
          "num_examples".
        """
        variables = jax.device_put(variables, self._everywhere)  # wherever they were loaded to
        batches = to_devices(self._batches, range(self._batches.steps), self._split)
        found = jax.device_get([self._step(variables, batch) for batch in batches])
        # fsum: the sum over batches is exact, so their order cannot matter.
        total = {name: math.fsum(float(each[name]) for each in found) for name in found[0]}
        count = int(total.pop("num_examples"))
        assert count == len(self._batches.source), "an example was lost or counted twice"
        return {**{name: value / count for name, value in total.items()}, "num_examples": count}
