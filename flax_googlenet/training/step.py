"""The train step: pure, jitted, donated, the batch split over the devices."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.sharding import replicate, split_batch
from flax_googlenet.training.averaging import average
from flax_googlenet.training.forward import apply_in_training, augment_batch
from flax_googlenet.training.losses import cross_entropy, head_losses
from flax_googlenet.training.optimizer import Schedule
from flax_googlenet.training.parameter_groups import (
    keep_frozen,
    stop_gradient_where_frozen,
)
from flax_googlenet.training.state import TrainState

Metrics = dict[str, jax.Array]
TrainStep = Callable[[TrainState, dict[str, jax.Array]], tuple[TrainState, Metrics]]


def make_train_step(
    config: FrozenConfigDict,
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: Schedule,
    mesh: Mesh,
    averaging_start: int,
) -> TrainStep:
    """Compile one optimizer step.

    Args:
      config: a resolved config.
      model, optimizer, schedule: built from it.
      mesh: devices to run on.
      averaging_start: step from which weights are averaged.

    Returns:
      A function of the state, which it consumes, and a batch of "image" (uint8) and
      "label", split over `mesh`. It returns the next state and scalars: "loss",
      "loss_HEAD" for each head, "top1", "gradient_norm" before clipping, "learning_rate",
      and, where broken images are skipped, "bad_images", their number.
      Losses are those of the targets that were trained on, smoothed and mixed as they are;
      where they are smoothed, "cross_entropy" is the main head's to targets that are not.
      "top1" is the share of images whose likeliest class is that of their target; of a mixed
      image, that with the larger share.
      What `config.optimizer.freeze` matches stays as it is to the bit, the running
      statistics of frozen normalisations too.
    """
    root_key = jax.random.key(config.seed)
    parts = config.optimizer.accumulate
    freeze = config.optimizer.freeze

    def loss_and_gradient(params, batch_stats, batch, key):
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
            shown = {f"loss_{head}": value for head, value in by_head.items()}
            shown |= _of_the_main_head(outputs["logits"], targets, config.loss.label_smoothing)
            return loss, (shown, updated)

        (loss, (shown, batch_stats)), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        return batch_stats, ({"loss": loss, **shown}, gradient)

    def accumulated(params, batch_stats, batch, key):
        """Mean over `parts` slices of the batch, one after the other in memory.

        Row i goes to slice i % parts, so that no row moves to another device.
        """

        def one(carry, xs):
            batch_stats, total = carry
            index, part = xs
            key_of_part = jax.random.fold_in(key, index)
            batch_stats, results = loss_and_gradient(params, batch_stats, part, key_of_part)
            return (batch_stats, jax.tree.map(jnp.add, total, results)), None

        sliced = jax.tree.map(lambda x: jnp.swapaxes(x.reshape(-1, parts, *x.shape[1:]), 0, 1), batch)
        first = jax.tree.map(lambda x: x[0], sliced)
        _, shapes = jax.eval_shape(loss_and_gradient, params, batch_stats, first, key)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        (batch_stats, total), _ = jax.lax.scan(one, (batch_stats, zeros), (jnp.arange(parts), sliced))
        return batch_stats, jax.tree.map(lambda x: x / parts, total)

    def step(state: TrainState, batch: dict[str, jax.Array]) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(root_key, state.step)
        compute = loss_and_gradient if parts == 1 else accumulated
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
        state = TrainState(
            state.step + 1, params, batch_stats, opt_state, averaged, state.averaged_batch_stats
        )
        return state, metrics

    everywhere, split = replicate(mesh), split_batch(mesh)
    return jax.jit(
        step, donate_argnums=0, in_shardings=(everywhere, split), out_shardings=(everywhere, everywhere)
    )


def _of_the_main_head(logits: jax.Array, targets: jax.Array, label_smoothing: float) -> Metrics:
    """What is shown and not trained on."""
    classes = targets if targets.ndim == 1 else targets.argmax(axis=-1)
    shown = {"top1": (logits.argmax(axis=-1) == classes).mean(dtype=jnp.float32)}
    if label_smoothing:
        shown["cross_entropy"] = cross_entropy(logits, targets)
    return shown
