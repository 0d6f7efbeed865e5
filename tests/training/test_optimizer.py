import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.training.optimizer import build_optimizer, build_schedule

TOTAL, WARMUP, BASE = 100, 10, 0.5


def polynomial(t, power=0.5):
    return BASE * max(1 - t / (TOTAL - WARMUP), 0) ** power


CLOSED_FORMS = [
    pytest.param({"name": "polynomial"}, polynomial, id="polynomial, BVLC"),
    pytest.param({"name": "polynomial", "power": 2.0}, lambda t: polynomial(t, 2.0), id="squared"),
    pytest.param(
        {"name": "step", "decay_rate": 0.96, "decay_every": "8 epochs"},
        lambda t: BASE * 0.96 ** (t // 16),  # an epoch is two steps here
        id="step, the paper's",
    ),
    pytest.param(
        {"name": "cosine"},
        lambda t: BASE / 2 * (1 + math.cos(math.pi * min(t / (TOTAL - WARMUP), 1))),
        id="cosine",
    ),
    pytest.param({"name": "constant"}, lambda _: BASE, id="constant"),
]


@pytest.mark.parametrize("warmup", [WARMUP, 0])
@pytest.mark.parametrize(("schedule", "closed_form"), CLOSED_FORMS)
def test_schedules_are_their_closed_forms(schedule, closed_form, warmup):
    config = resolve(
        {
            "batch_size": 4,
            "optimizer": {"learning_rate": BASE},
            "schedule": {**schedule, "warmup": f"{warmup} steps"},
        }
    )
    total = TOTAL - WARMUP + warmup
    rate = jax.jit(build_schedule(config, total_steps=total, epoch_size=8))
    steps = [*range(0, total + 1, 3), total, total + 50]  # and past the end
    expected = [BASE * t / warmup if t < warmup else closed_form(t - warmup) for t in steps]
    np.testing.assert_allclose([rate(t) for t in steps], expected, rtol=1e-5, atol=1e-8)


def test_the_rate_scales_with_the_batch():
    config = resolve(
        {
            "batch_size": 256,
            "optimizer": {"learning_rate": 0.01, "learning_rate_batch": 32},
            "schedule": {"name": "constant"},
        }
    )
    assert build_schedule(config, total_steps=10, epoch_size=1000)(0) == pytest.approx(0.08)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_updates_are_the_formula(rng, nesterov, clip):
    momentum, decay, rate = 0.9, 0.1, 0.25
    options = resolve(
        {
            "optimizer": {
                "momentum": momentum,
                "nesterov": nesterov,
                "weight_decay": decay,
                "clip_norm": clip,
            }
        }
    ).optimizer
    optimizer = build_optimizer(options, lambda _: rate)
    start = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2), "scale": rng.normal(size=2)}
    params = {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)}
    state = optimizer.init(params)
    expected = {name: value.copy() for name, value in start.items()}
    velocity = {name: np.zeros_like(value) for name, value in start.items()}
    for _ in range(3):
        gradient = {name: rng.normal(size=value.shape) for name, value in start.items()}
        norm = math.sqrt(sum(np.square(g).sum() for g in gradient.values()))
        updates, state = optimizer.update(
            {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), gradient)}, state, params
        )
        params = optax.apply_updates(params, updates)
        for name, g in gradient.items():
            g = g * min(1, clip / norm) if clip else g
            g = g + decay * expected[name] if name == "kernel" else g  # coupled, kernels only
            velocity[name] = momentum * velocity[name] + g
            expected[name] -= rate * (momentum * velocity[name] + g if nesterov else velocity[name])
    for name, value in expected.items():
        np.testing.assert_allclose(params["layer"][name], value, rtol=1e-5, atol=1e-6)
