"""The device mesh and its shardings.

The mesh has one axis, `data`. Batches are split over it, and all other arrays are replicated.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from flax_googlenet.errors import UserError


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Return a mesh along the axis `data`, by default of the devices of all processes.

    The devices of a process are neighbors in it, so that its rows of a batch are, too. `jax.make_mesh` does
    not promise that: on TPU slices of several hosts, it orders the devices by their place in the network.

    Args:
      devices: the devices, in any order that is the same for all processes.
    """
    devices = sorted(devices or jax.devices(), key=lambda device: device.process_index)
    return Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))


def split_batch(mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array whose first axis is the batch."""
    return NamedSharding(mesh, PartitionSpec("data"))


def replicate(mesh: Mesh) -> NamedSharding:
    """Return the sharding of an array that every device holds in full."""
    return NamedSharding(mesh, PartitionSpec())


def put_everywhere(tree: Any, sharding: NamedSharding) -> Any:
    """Put arrays on all devices, without a copy where they are there already.

    `jax.device_put` would compare the arrays of all processes, by a program that they may not compile at the
    same time.

    Args:
      tree: arrays, on the host or on any devices. They are the same in all processes.
      sharding: the sharding of every array, replicated.
    """
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)
    return jax.tree.map(
        lambda leaf: (
            leaf
            if getattr(leaf, "sharding", None) == sharding
            else put_copies(jax.device_get(leaf), sharding)
        ),
        tree,
    )


def put_copies(tree: Any, sharding: NamedSharding) -> Any:
    """Copy arrays to the devices, with a separate buffer on every device.

    The train step donates its state and overwrites these buffers. `jax.device_put` may share one
    buffer between devices of a host, even with `may_alias=False`.

    Args:
      tree: arrays on the host.
      sharding: the sharding of every array, replicated.
    """

    def put(leaf: Any) -> jax.Array:
        copies = [
            jax.device_put(np.array(leaf, order="C"), device) for device in sharding.addressable_devices
        ]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), sharding, copies)

    return jax.tree.map(put, tree)


def fetch_copies(tree: Any) -> Any:
    """Copy replicated arrays to the host. The train step may then overwrite those of the devices."""
    return jax.tree.map(lambda leaf: np.array(jax.device_get(leaf)), tree)


def check_batch_size(batch_size: int, mesh: Mesh, parts: int = 1) -> None:
    """Check that a batch can be split evenly.

    Args:
      batch_size: the number of rows of the global batch.
      mesh: the devices.
      parts: the number of accumulation steps.

    Raises:
      UserError: if `batch_size` is not divisible by the number of devices times `parts`.
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
