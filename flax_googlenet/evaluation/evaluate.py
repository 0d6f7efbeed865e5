"""Exact evaluation: every example once, on any number of devices, from one or many crops and networks."""

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.compilation import without_alarms
from flax_googlenet.config import HOST_PREPROCESSING
from flax_googlenet.data import EvaluationBatches, Source, augmentation, to_devices
from flax_googlenet.data.images import crops
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import metrics
from flax_googlenet.models import Network
from flax_googlenet.sharding import replicate, split_batch

logger = logging.getLogger(__name__)

# Crops of an image in one forward pass; the others follow, and need not fit into memory with them.
CROPS_AT_ONCE = {1: 1, 10: 10, 144: 12}


@dataclasses.dataclass(frozen=True)
class Member:
    """A network of an ensemble, and the section `data` of its config."""

    model: Network
    data: FrozenConfigDict


class Evaluator:
    """Evaluates networks on one source; compiles once, whatever the weights."""

    def __init__(
        self,
        members: Sequence[Member],
        source: Source,
        mesh: Mesh,
        *,
        batch_size: int,
        number_of_crops: int = 1,
        all_heads: bool = False,
        detailed: bool = False,
    ) -> None:
        """Compile for one size of batch, rounded up to the devices.

        Args:
          members: one network, or an ensemble whose probabilities are averaged.
          source: of the images.
          mesh: devices to run on.
          batch_size: crops in a forward pass.
          number_of_crops: 1, 10 or 144, averaged as probabilities.
          all_heads: figures of the auxiliary heads too.
          detailed: what a report wants besides, see `__call__`.

        Raises:
          UserError: the networks expect their images to be resized and cropped differently.
        """
        data = members[0].data
        for member in members[1:]:
            for key in HOST_PREPROCESSING:
                if member.data[key] != data[key]:
                    raise UserError(
                        "The networks of an ensemble see the same crops, but their config.data."
                        f"{key} are {data[key]} and {member.data[key]}; evaluate them one by one."
                    )
        if (distinct := crops.distinct(data, number_of_crops)) < number_of_crops:
            logger.warning(
                f"images are stretched to squares, so the paper's {number_of_crops} crops are "
                f"{distinct} distinct ones, which are computed once"
            )
        devices = mesh.shape["data"]
        at_once = CROPS_AT_ONCE[number_of_crops]
        images = -(-min(batch_size // at_once or 1, len(source)) // devices) * devices
        self._batches = EvaluationBatches(source, data, images, number_of_crops)
        self._split = split_batch(mesh)
        heads = members[0].model.head_names if all_heads else ("logits",)

        def logits_of(member: Member, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
            normalized = augmentation.normalize(images, member.data)
            outputs: Any = member.model.apply(variables, normalized, all_heads=all_heads)
            return {head: outputs[head] for head in heads}

        def logits_of_crops(member: Member, variables: Any, cut: jax.Array) -> dict[str, jax.Array]:
            def of_some(some: jax.Array) -> dict[str, jax.Array]:
                # The images stay in front, so that each device keeps its own.
                images = jnp.moveaxis(some, 0, 1).reshape(-1, *some.shape[2:])
                logits = logits_of(member, variables, images)
                return jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, at_once, x.shape[-1]), 1, 0), logits)

            if number_of_crops == at_once:
                return of_some(cut)
            parts = jax.lax.map(of_some, cut.reshape(-1, at_once, *cut.shape[1:]))
            return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), parts)

        def step(all_variables: Sequence[Any], batch: dict[str, jax.Array]) -> dict[str, Any]:
            cut = crops.crop_squares(batch, data.image_size, number_of_crops)
            found = [
                logits_of_crops(member, variables, cut)
                for member, variables in zip(members, all_variables, strict=True)
            ]
            sums: dict[str, Any] = {}
            for head in heads:
                logits = average_probabilities(jnp.concatenate([each[head] for each in found]))
                suffix = "" if head == "logits" else f"_{head}"
                own_sums = metrics.sums(logits, batch["label"], batch["mask"])
                if suffix:
                    del own_sums["num_examples"]
                elif detailed:
                    own_sums |= metrics.details(logits, batch["label"], batch["mask"])
                sums |= {name + suffix: value for name, value in own_sums.items()}
            if "bad" in batch:
                sums["bad_images"] = batch["bad"].sum()
            return sums

        self._everywhere = replicate(mesh)
        self._step = jax.jit(
            step, in_shardings=(self._everywhere, self._split), out_shardings=self._everywhere
        )

    def __call__(
        self, all_variables: Sequence[Mapping[str, Any]], progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Evaluate weights.

        Args:
          all_variables: "params" and "batch_stats" of each network.
          progress: is told of every batch how many images it had, once it is done.

        Returns:
          "top1" and "top5" as shares, "loss" as the mean cross-entropy in nats, and
          "num_examples"; where broken images are skipped "bad_images", which the shares leave
          out; of an auxiliary head "top1_HEAD" and so on. If detailed also "ece",
          the expected calibration error; "class_accuracy" and "class_examples", lists by
          class; and, of few classes, "confusion", rows of counts by true class.
        """
        all_variables = jax.device_put(tuple(all_variables), self._everywhere)  # wherever they were loaded to
        batches = to_devices(self._batches, range(self._batches.steps), self._split)
        first = next(batches)
        with without_alarms():
            launched = [self._step(all_variables, first)]
        for batch in batches:
            launched.append(self._step(all_variables, batch))
            self._report(progress, launched, len(launched) - 2)
        self._report(progress, launched, len(launched) - 1)
        found = jax.device_get(launched)
        total = {name: _exact_sum([each[name] for each in found]) for name in found[0]}
        counts = {name: int(total.pop(name)) for name in ("num_examples", "bad_images") if name in total}
        assert sum(counts.values()) == len(self._batches.source), "an example was lost or counted twice"
        count = counts["num_examples"]
        if not count:
            raise UserError("There is no image left to evaluate: each is broken; check config.data.")
        scalars = {name: float(value) / count for name, value in total.items() if np.ndim(value) == 0}
        return {**scalars, **counts, **metrics.summarize_details(total)}

    def _report(self, progress: Callable[[int], None] | None, launched: Sequence[Any], index: int) -> None:
        """Tell of the images of a batch once the devices are done with it."""
        if progress and index >= 0:
            jax.block_until_ready(launched[index])
            size = self._batches.batch_size
            progress(min(size, len(self._batches.source) - index * size))


def average_probabilities(logits: jax.Array) -> jax.Array:
    """Logarithm of the mean of the probabilities; of one set, its logits as they are.

    log(1/n * sum_i softmax(logits_i)), over the first axis.
    """
    if logits.shape[0] == 1:
        return logits[0]
    count = jnp.log(jnp.asarray(logits.shape[0], logits.dtype))
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - count


def _exact_sum(values: Sequence[np.ndarray]) -> Any:
    """Sum over batches, of which the order cannot matter: counts are whole, and fsum is exact."""
    if np.ndim(values[0]) == 0:
        return math.fsum(map(float, values))
    stacked = np.stack([np.asarray(each, np.float64) for each in values])
    return np.apply_along_axis(math.fsum, 0, stacked)
