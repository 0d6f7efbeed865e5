"""SGD with momentum as GoogLeNet was trained, AdamW and LAMB, and their learning-rate schedules."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree, ScalarLike
from ml_collections import FrozenConfigDict

from flax_googlenet.training.durations import to_steps
from flax_googlenet.training.parameter_groups import frozen_mask, scale_by_factor

Schedule = Callable[[ScalarLike], ScalarLike]


def build_schedule(config: FrozenConfigDict, *, total_steps: int, epoch_size: int) -> Schedule:
    """Return the learning rate as a function of the step.

    The rate rises linearly from 0 during the w steps of the warm-up. After that, with t counted
    from the end of the warm-up and T = total_steps - w, it is

    * polynomial: base * (1 - t / T) ^ power (BVLC's quick solver: power 0.5)
    * step: base * decay_rate ^ floor(t / decay_every) (the paper: -4 % every 8 epochs)
    * cosine: base / 2 * (1 + cos(pi * t / T))
    * constant: base

    where base = learning_rate, times batch_size / learning_rate_batch if the latter is set.

    Args:
      config: a resolved config.
      total_steps: length of the run.
      epoch_size: number of examples in an epoch, for durations.
    """
    schedule, base = config.schedule, config.optimizer.learning_rate
    if config.optimizer.learning_rate_batch:
        base *= config.batch_size / config.optimizer.learning_rate_batch
    warmup, decay_every = (
        to_steps(duration, batch_size=config.batch_size, epoch_size=epoch_size)
        for duration in (schedule.warmup, schedule.decay_every)
    )
    steps = max(total_steps - warmup, 1)
    main = {
        "polynomial": lambda: polynomial_schedule(base, schedule.power, steps),
        "step": lambda: optax.exponential_decay(
            base, max(decay_every, 1), schedule.decay_rate, staircase=True
        ),
        "cosine": lambda: optax.cosine_decay_schedule(base, steps),
        "constant": lambda: optax.constant_schedule(base),
    }[schedule.name]()
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, base, warmup), main], [warmup])


def polynomial_schedule(base: float, power: float, steps: int) -> Schedule:
    """Return the schedule base * (1 - t / steps) ^ power, which is 0 past the end.

    `optax.polynomial_schedule` may return NaN at the end for a power below 1: when compiled,
    1 - t / steps can be a rounding error below 0.
    """
    return lambda step: base * jnp.maximum(1.0 - step / steps, 0.0) ** power


def build_optimizer(optimizer: FrozenConfigDict, schedule: Schedule) -> optax.GradientTransformation:
    """Build an optimizer with gradient clipping, weight decay of kernels, and rates by group.

    With sgd, the gradient g of a parameter p changes it in this order:

        g <- clip(g)
        g <- g + weight_decay * p    (kernels only)
        v <- momentum * v + g
        p <- p - rate * v            (with Nesterov: p - rate * (momentum * v + g))

    With adamw and lamb, after t updates:

        g <- clip(g)
        m <- 0.9 * m + 0.1 * g;  v <- 0.999 * v + 0.001 * g^2
        u <- (m / (1 - 0.9^t)) / (sqrt(v / (1 - 0.999^t)) + epsilon)
        u <- u + weight_decay * p    (kernels only)
        u <- u * |p| / |u|           (lamb, kernels only)
        p <- p - rate * u

    where epsilon is 1e-8 for adamw (Loshchilov & Hutter 2019) and 1e-6 for lamb (You et al. 2020).
    LAMB's trust ratio |p| / |u| would hold back biases, which start at or near 0, so they take the
    step of AdamW.

    `optimizer.rates` multiplies the rate of the parameters that its patterns match. Parameters
    that `optimizer.freeze` matches are not updated and have no state, and clipping ignores
    their gradients.

    Args:
      optimizer: the section `optimizer` of a resolved config.
      schedule: learning rate by step.
    """
    clip = optax.clip_by_global_norm(optimizer.clip_norm) if optimizer.clip_norm else optax.identity()
    decay = optax.add_decayed_weights(optimizer.weight_decay, mask=kernels_only)
    links = {
        "sgd": lambda: [clip, decay, optax.sgd(schedule, optimizer.momentum or None, optimizer.nesterov)],
        "adamw": lambda: [
            clip,
            optax.adamw(schedule, weight_decay=optimizer.weight_decay, mask=kernels_only),
        ],
        "lamb": lambda: [
            clip,
            optax.scale_by_adam(eps=1e-6),
            decay,
            optax.masked(optax.scale_by_trust_ratio(), kernels_only),
            optax.scale_by_learning_rate(schedule),
        ],
    }[optimizer.name]()
    # Rates and freezing change the form of the state, so they are left out where the config has none:
    # older checkpoints stay readable.
    if optimizer.rates:
        links.append(optax.stateless(lambda updates, _: scale_by_factor(updates, optimizer.rates)))
    trained = optax.chain(*links)
    if not optimizer.freeze:
        return trained

    def groups(params: PyTree) -> PyTree:
        frozen = frozen_mask(params, optimizer.freeze)
        return jax.tree.map(lambda is_frozen: "frozen" if is_frozen else "trained", frozen)

    return optax.partition({"trained": trained, "frozen": optax.set_to_zero()}, groups)


def kernels_only(params: PyTree) -> PyTree:
    """Return a mask that is true for kernels and false for biases and normalizations."""
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)
