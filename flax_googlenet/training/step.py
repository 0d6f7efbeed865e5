"""The train step: a pure, jitted function that donates its state and splits the batch over the devices."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh
from jaxtyping import Array, Float, Num, PRNGKeyArray, PyTree
from ml_collections import FrozenConfigDict

from flax_googlenet.runtime import compilation
from flax_googlenet.sharding import replicate, split_batch
from flax_googlenet.training.averaging import average
from flax_googlenet.training.forward import apply_in_training, augment_batch
from flax_googlenet.training.losses import Logits, Targets, cross_entropy, head_losses
from flax_googlenet.training.optimizer import Schedule
from flax_googlenet.training.parameter_groups import (
    keep_frozen,
    stop_gradient_where_frozen,
)
from flax_googlenet.training.state import TrainState

Batch = dict[str, Array]
Metrics = dict[str, Num[Array, ""]]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_train_step(
    config: FrozenConfigDict,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    mesh: Mesh,
    averaging_start: int,
) -> TrainStep:
    """Make the function that trains for one step, under `jax.jit`.

    Args:
      config: a resolved config.
      model: the network.
      optimizer: the optimizer.
      schedule: its learning rate by step.
      mesh: devices to run on.
      averaging_start: step at which the average of the weights starts.

    Returns:
      A function that takes the state, which it consumes, and a batch of "image" (uint8) and
      "label", split over `mesh`. It returns the next state and metrics:

      * "loss", and "loss_HEAD" for each head, computed with the training targets,
        which may be smoothed and mixed
      * "cross_entropy" of the main head with unsmoothed targets, if label smoothing is on
      * "top1", the share of images whose most likely class is their label, or the class
        with the largest share of a mixed target
      * "gradient_norm" before clipping, and "learning_rate"
      * "bad_images", the number of corrupt images, if they are skipped

      Parameters that `config.optimizer.freeze` matches, and the running statistics of frozen
      normalizations, stay identical to the bit.
    """
    parts = config.optimizer.accumulate
    freeze = config.optimizer.freeze

    def loss_and_gradient(
        params: PyTree, batch_stats: PyTree, batch: Batch, key: PRNGKeyArray
    ) -> tuple[PyTree, tuple[Metrics, PyTree]]:
        images, targets, dropout_key = augment_batch(batch, key, config)

        def loss_of(params):
            trained = stop_gradient_where_frozen(params, freeze)
            outputs, updated = apply_in_training(model, trained, batch_stats, images, dropout_key, freeze)
            loss, by_head = head_losses(
                outputs,
                targets,
                aux_weight=config.loss.aux_weight,
                label_smoothing=config.loss.label_smoothing,
            )
            metrics = {f"loss_{head}": value for head, value in by_head.items()}
            metrics |= _main_head_metrics(outputs["logits"], targets, config.loss.label_smoothing)
            return loss, (metrics, updated)

        (loss, (metrics, batch_stats)), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        return batch_stats, ({"loss": loss, **metrics}, gradient)

    def mean_over_parts(
        params: PyTree, batch_stats: PyTree, batch: Batch, key: PRNGKeyArray
    ) -> tuple[PyTree, tuple[Metrics, PyTree]]:
        """Return the means over parts of the batch, which are computed one after the other.

        Row i goes to part i % parts, so that no row moves to another device.
        """

        def add_part(carry, xs):
            batch_stats, total = carry
            index, part = xs
            key_of_part = jax.random.fold_in(key, index)
            batch_stats, results = loss_and_gradient(params, batch_stats, part, key_of_part)
            return (batch_stats, jax.tree.map(jnp.add, total, results)), None

        sliced = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1), batch)
        first = jax.tree.map(lambda x: x[0], sliced)
        _, shapes = jax.eval_shape(loss_and_gradient, params, batch_stats, first, key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        (batch_stats, total), _ = jax.lax.scan(add_part, (batch_stats, zeros), (jnp.arange(parts), sliced))
        return batch_stats, jax.tree.map(lambda x: x / parts, total)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.root_key), state.step)
        compute = loss_and_gradient if parts == 1 else mean_over_parts
        batch_stats, (metrics, gradient) = compute(state.params, state.batch_stats, batch, key)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        averaged = average(config.averaging, state.averaged_params, params, state.step - averaging_start)
        params = keep_frozen(state.params, params, freeze)
        averaged = keep_frozen(state.averaged_params, averaged, freeze)
        if "bad" in batch:
            metrics["bad_images"] = batch["bad"].sum()
        metrics["gradient_norm"] = optax.tree.norm(gradient)
        metrics["learning_rate"] = jnp.asarray(schedule(state.step), jnp.float32)
        state = dataclasses.replace(
            state,
            step=state.step + 1,
            params=params,
            batch_stats=batch_stats,
            opt_state=opt_state,
            averaged_params=averaged,
        )
        return state, metrics

    everywhere, split = replicate(mesh), split_batch(mesh)
    return compilation.jit(
        step,
        remat=config.model.remat,
        donate_argnums=0,
        in_shardings=(everywhere, split),
        out_shardings=(everywhere, everywhere),
    )


def _main_head_metrics(
    logits: Logits, targets: Targets, label_smoothing: float
) -> dict[str, Float[Array, ""]]:
    """Return the metrics of the main head that are not part of the loss."""
    classes = targets if targets.ndim == 1 else targets.argmax(axis=-1)
    metrics = {"top1": (logits.argmax(axis=-1) == classes).mean(dtype=jnp.float32)}
    if label_smoothing:
        metrics["cross_entropy"] = cross_entropy(logits, targets)
    return metrics
