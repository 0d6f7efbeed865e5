"""One mesh axis, `data`: batches are split over it, everything else is replicated."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flax_googlenet.errors import UserError


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The devices, by default all of all hosts, on the axis `data`."""
    count = len(devices) if devices else jax.device_count()
    return jax.make_mesh((count,), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def split_batch(mesh: Mesh) -> NamedSharding:
    """Sharding of an array whose first axis is the batch."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicate(mesh: Mesh) -> NamedSharding:
    """Sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def put_copies(tree: Any, sharding: NamedSharding) -> Any:
    """Put arrays of the host on the devices, each device with memory of its own.

    The train step, which donates its state, writes over it. `jax.device_put` may give devices of
    one host one buffer, and `may_alias=False` does not keep it from that.

    Args:
      tree: arrays of the host.
      sharding: of every array; replicated.
    """

    def put(leaf: Any) -> jax.Array:
        copies = [
            jax.device_put(np.array(leaf, order="C"), device) for device in sharding.addressable_devices
        ]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), sharding, copies)

    return jax.tree.map(put, tree)


def check_batch_size(batch_size: int, mesh: Mesh, parts: int = 1) -> None:
    """Refuse a batch that cannot be dealt out evenly.

    Raises:
      UserError: `batch_size` is not divisible by devices times `parts`.
    """
    devices = mesh.shape["data"]
    unit = devices * parts
    if batch_size % unit:
        by = f"{devices} devices" + (f" x {parts} accumulation steps" if parts > 1 else "")
        above = (batch_size // unit + 1) * unit
        raise UserError(
            f"config.batch_size {batch_size} cannot be split over {by}; use a multiple of {unit}, "
            f"such as {above}."
        )
