"""Exact evaluation: every image counts once, on any number of devices, for one or many crops and networks."""

import contextlib
import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Num, PyTree, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet import inference
from flax_googlenet.config import HOST_PREPROCESSING
from flax_googlenet.data import EvaluationBatches, Source, to_devices
from flax_googlenet.data.images import crops
from flax_googlenet.distributed import compiled_together, preemption
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import metrics
from flax_googlenet.models import Network
from flax_googlenet.runtime import compilation
from flax_googlenet.sharding import put_everywhere, replicate, split_batch

logger = logging.getLogger(__name__)

# Crops of an image in one forward pass. A loop over such groups bounds the memory that 144 crops take.
CROPS_AT_ONCE = {1: 1, 10: 10, 144: 12}

_FIGURES_OF_MEMBER = ("top1", "top5", "loss")

Variables = Mapping[str, PyTree]


@dataclasses.dataclass(frozen=True)
class Member:
    """A network of an ensemble, and the section `data` of its config."""

    model: Network
    data: FrozenConfigDict


class Evaluator:
    """An evaluator of networks on a source. It compiles once for all weights."""

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
        """Prepare batches of one size, rounded up to a multiple of the devices.

        Args:
          members: one network, or the networks of an ensemble.
          source: images and labels.
          mesh: devices to run on.
          batch_size: number of crops in a forward pass.
          number_of_crops: 1, 10 or 144 per image; their probabilities are averaged.
          all_heads: whether to evaluate the auxiliary heads, too.
          detailed: whether to compute calibration and accuracy per class, see `__call__`.

        Raises:
          UserError: if the networks differ in how their images are resized and cropped.
        """
        _check_same_crops(members)
        data = members[0].data
        _report_distinct_crops(data, number_of_crops)
        self._members = tuple(members)
        self._number_of_crops = number_of_crops
        self._heads: tuple[str, ...] = members[0].model.head_names if all_heads else ("logits",)
        self._all_heads, self._detailed = all_heads, detailed
        self._devices = devices = mesh.shape["data"]
        images = min(batch_size // CROPS_AT_ONCE[number_of_crops] or 1, len(source))
        self._batches = EvaluationBatches(source, data, -(-images // devices) * devices, number_of_crops)
        self._replicated, self._split = replicate(mesh), split_batch(mesh)
        self._step = compiled_together(
            compilation.jit(
                self._sums_of_batch,
                in_shardings=(self._replicated, self._split),
                out_shardings=self._replicated,
            )
        )

    def __call__(
        self, all_variables: Sequence[Variables], progress: Callable[[int], None] | None = None
    ) -> dict[str, Any]:
        """Evaluate weights on the whole source.

        Args:
          all_variables: "params" and "batch_stats" of each network.
          progress: called after every batch with its number of images.

        Returns:
          "top1" and "top5", as shares of the images; "loss", the mean cross-entropy in nats;
          and "num_examples". Names of an auxiliary head's metrics end in "_HEAD". If corrupt
          images are skipped, "bad_images" is their number, and the other metrics leave them
          out. For an ensemble, also "members", a list with the "top1", "top5" and "loss" of each.
          If detailed, also "ece", the expected calibration error; "class_accuracy" and
          "class_examples", lists per class; and, for up to `metrics.MAX_CONFUSION` classes,
          "confusion", rows of counts by true class.

        Raises:
          UserError: if every image is corrupt.
          StopHere: if the run is preempted.
        """
        total = self._total(all_variables, progress)
        counts: dict[str, int] = {
            name: int(total.pop(name)) for name in ("num_examples", "bad_images") if name in total
        }
        assert sum(counts.values()) == len(self._batches.source), "an image was lost or counted twice"
        count = counts["num_examples"]
        if not count:
            raise UserError("No image is left to evaluate, since all are corrupt; check config.data.")
        figures: dict[str, Any] = {
            name: float(value) / count for name, value in total.items() if np.ndim(value) == 0
        }
        if len(self._members) > 1:
            figures["members"] = [
                {name: float(total[f"members_{name}"][index]) / count for name in _FIGURES_OF_MEMBER}
                for index in range(len(self._members))
            ]
        return {**figures, **counts, **metrics.summarize_details(total)}

    def _total(
        self, all_variables: Sequence[Variables], progress: Callable[[int], None] | None
    ) -> dict[str, Any]:
        """Return the sums over all batches."""
        replicated = put_everywhere(tuple(all_variables), self._replicated)
        batches = to_devices(self._batches, range(self._batches.steps), self._split)
        launched: list[Any] = []
        with contextlib.closing(batches):
            for batch in batches:
                preemption.point()
                launched.append(self._step(replicated, batch))
                self._report(progress, launched, len(launched) - 2)  # the devices have a batch to work on
        self._report(progress, launched, len(launched) - 1)
        sums = jax.device_get(launched)
        return {name: _exact_sum([batch_sums[name] for batch_sums in sums]) for name in sums[0]}

    def _report(self, progress: Callable[[int], None] | None, launched: Sequence[Any], index: int) -> None:
        """Wait for a batch and report its number of images."""
        if index < 0:
            return
        jax.block_until_ready(launched[index])
        if progress:
            size = self._batches.batch_size
            progress(min(size, len(self._batches.source) - index * size))

    def _sums_of_batch(self, all_variables: Sequence[Variables], batch: dict[str, Array]) -> dict[str, Array]:
        """Return the sums of the metrics of every head over the rows of each device."""
        images = crops.crop_squares(batch, self._batches.data.image_size, self._number_of_crops)
        logits_of_members = [
            logits_of_crops(member, variables, images, self._number_of_crops, self._all_heads)
            for member, variables in zip(self._members, all_variables, strict=True)
        ]
        sums: dict[str, Array] = {}
        for head in self._heads:
            logits = average_probabilities(jnp.concatenate([logits[head] for logits in logits_of_members]))
            sums |= self._sums_of_head(head, logits, batch)
        if len(self._members) > 1:
            sums |= self._sums_of_members([logits["logits"] for logits in logits_of_members], batch)
        if "bad" in batch:
            sums["bad_images"] = self._by_device(batch["bad"]).sum(axis=1)
        return sums

    def _sums_of_head(
        self, head: str, logits: Float[Array, "batch classes"], batch: dict[str, Array]
    ) -> dict[str, Array]:
        rows = self._rows_by_device(logits, batch)
        sums = jax.vmap(metrics.sums)(*rows)
        if head != "logits":
            return {f"{name}_{head}": value for name, value in sums.items() if name != "num_examples"}
        if self._detailed:
            sums |= jax.vmap(metrics.details)(*rows)
        return sums

    def _sums_of_members(
        self, logits_of_members: Sequence[Float[Array, "crops batch classes"]], batch: dict[str, Array]
    ) -> dict[str, Num[Array, "devices members"]]:
        by_member = [
            jax.vmap(metrics.sums)(*self._rows_by_device(average_probabilities(logits), batch))
            for logits in logits_of_members
        ]
        return {
            f"members_{name}": jnp.stack([sums[name] for sums in by_member], axis=1)
            for name in _FIGURES_OF_MEMBER
        }

    def _rows_by_device(
        self, logits: Float[Array, "batch classes"], batch: dict[str, Array]
    ) -> tuple[Array, ...]:
        return tuple(self._by_device(array) for array in (logits, batch["label"], batch["mask"]))

    def _by_device(self, array: Array) -> Array:
        """Return the rows of a batch as [devices, rows of a device].

        The devices do not add up their sums, whose order would depend on the hosts.
        """
        return array.reshape(self._devices, -1, *array.shape[1:])


def logits_of_crops(
    member: Member,
    variables: Variables,
    images: UInt8[Array, "crops batch size size 3"],
    number_of_crops: int,
    all_heads: bool,
) -> dict[str, Float[Array, "crops batch classes"]]:
    """Return the logits of each head for all crops of a batch.

    Args:
      member: the network.
      variables: its "params" and "batch_stats".
      images: crops from `crops.crop_squares`.
      number_of_crops: 1, 10 or 144; `images` may hold fewer that are distinct.
      all_heads: whether to compute the auxiliary heads, too.
    """
    at_once = CROPS_AT_ONCE[number_of_crops]
    forward = functools.partial(_logits_of_group, member, variables, all_heads)
    if number_of_crops == at_once:
        return forward(images)
    groups = jax.lax.map(forward, images.reshape(-1, at_once, *images.shape[1:]))
    return jax.tree.map(lambda logits: logits.reshape(-1, *logits.shape[2:]), groups)


def _logits_of_group(
    member: Member, variables: Variables, all_heads: bool, group: UInt8[Array, "crops batch size size 3"]
) -> dict[str, Float[Array, "crops batch classes"]]:
    """Return the logits for the crops of one forward pass."""
    # Rows are ordered by image, so that every device keeps its own images.
    rows = jnp.moveaxis(group, 0, 1).reshape(-1, *group.shape[2:])
    outputs = inference.compute_logits(member.model, variables, rows, member.data, all_heads=all_heads)
    return {
        head: jnp.moveaxis(logits.reshape(-1, len(group), logits.shape[-1]), 1, 0)
        for head, logits in outputs.items()
    }


def average_probabilities(logits: Float[Array, "members batch classes"]) -> Float[Array, "batch classes"]:
    """Return the logarithm of the mean of the members' probabilities.

    log(1/n * sum_i softmax(logits_i)). The logits of a single member are returned as they are.
    """
    if logits.shape[0] == 1:
        return logits[0]
    count = jnp.log(jnp.asarray(logits.shape[0], logits.dtype))
    return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - count


def _check_same_crops(members: Sequence[Member]) -> None:
    data = members[0].data
    for member in members[1:]:
        for key in HOST_PREPROCESSING:
            if member.data[key] != data[key]:
                raise UserError(
                    "The networks of an ensemble see the same crops, but their config.data."
                    f"{key} are {data[key]} and {member.data[key]}; evaluate them one by one."
                )


def _report_distinct_crops(data: FrozenConfigDict, number_of_crops: int) -> None:
    if (distinct := crops.distinct(data, number_of_crops)) < number_of_crops:
        logger.info(
            f"images are stretched to squares, so only {distinct} of the paper's {number_of_crops} crops "
            "differ; these are computed once"
        )


def _exact_sum(values: Sequence[np.ndarray]) -> Any:
    """Return the sum over batches and devices. It does not depend on their order: `math.fsum` is exact."""
    return np.apply_along_axis(math.fsum, 0, np.concatenate(values).astype(np.float64))
