import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.config import resolve
from flax_googlenet.training.optimizer import build_optimizer, build_schedule, kernels_only

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


FACTORS = {"kernel": 3.0, "bias": 0.5, "scale": 1.0}
RATES = (("*/kernel", 3.0), ("layer/[kb]*", 0.5))  # the first to match counts


@pytest.mark.parametrize("rates", [(), RATES], ids=["one rate", "rates"])
@pytest.mark.parametrize("freeze", [(), ("frozen/*",)], ids=["", "freeze"])
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_updates_are_the_formula(rng, nesterov, clip, freeze, rates):
    momentum, decay, rate = 0.9, 0.1, 0.25
    options = resolve(
        {
            "optimizer": {
                "momentum": momentum,
                "nesterov": nesterov,
                "weight_decay": decay,
                "clip_norm": clip,
                "freeze": freeze,
                "rates": rates,
            }
        }
    ).optimizer
    optimizer = build_optimizer(options, lambda _: rate)
    start = {"kernel": rng.normal(size=(3, 2)), "bias": rng.normal(size=2), "scale": rng.normal(size=2)}
    params = {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), start)}
    if freeze:
        params["frozen"] = {"kernel": jnp.ones(5)}
    state = optimizer.init(params)
    expected = {name: value.copy() for name, value in start.items()}
    velocity = {name: np.zeros_like(value) for name, value in start.items()}
    for _ in range(3):
        gradient = {name: rng.normal(size=value.shape) for name, value in start.items()}
        norm = math.sqrt(sum(np.square(g).sum() for g in gradient.values()))
        gradients = {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), gradient)}
        if freeze:  # a large frozen gradient, which clipping must ignore
            gradients["frozen"] = {"kernel": jnp.full(5, 100.0)}
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for name, g in gradient.items():
            g = g * min(1, clip / norm) if clip else g
            g = g + decay * expected[name] if name == "kernel" else g  # coupled, kernels only
            velocity[name] = momentum * velocity[name] + g
            factor = FACTORS[name] if rates else 1.0
            expected[name] -= rate * factor * (momentum * velocity[name] + g if nesterov else velocity[name])
    if freeze:
        np.testing.assert_array_equal(params["frozen"]["kernel"], np.ones(5))
        assert sum(leaf.size for leaf in jax.tree.leaves(state)) == 6 + 2 + 2 + 1, "no state but the count"
    for name, value in expected.items():
        np.testing.assert_allclose(params["layer"][name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rates", [(), RATES], ids=["one rate", "rates"])
@pytest.mark.parametrize("freeze", [(), ("frozen/*",)], ids=["", "freeze"])
@pytest.mark.parametrize(("name", "epsilon"), [("adamw", 1e-8), ("lamb", 1e-6)])
@pytest.mark.parametrize("clip", [0.0, 0.1])
def test_adaptive_updates_are_the_formula(rng, name, epsilon, clip, freeze, rates):
    decay, rate = 0.1, 0.25
    options = {"name": name, "weight_decay": decay, "clip_norm": clip, "freeze": freeze, "rates": rates}
    optimizer = build_optimizer(resolve({"optimizer": options}).optimizer, lambda _: rate)
    expected = {"kernel": rng.normal(size=(3, 2)), "bias": np.zeros(2), "scale": rng.normal(size=2)}
    params = {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), expected)}
    if freeze:
        params["frozen"] = {"kernel": jnp.ones(5)}
    state = optimizer.init(params)
    first, second = ({key: np.zeros_like(value) for key, value in expected.items()} for _ in range(2))
    for t in (1, 2, 3):
        gradient = {key: rng.normal(size=value.shape) for key, value in expected.items()}
        norm = math.sqrt(sum(np.square(g).sum() for g in gradient.values()))
        gradients = {"layer": jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), gradient)}
        if freeze:
            gradients["frozen"] = {"kernel": jnp.full(5, 100.0)}
        with jax.numpy_dtype_promotion("standard"):  # Adam's corrections mix integers and floats
            updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for key, g in gradient.items():
            g = g * min(1, clip / norm) if clip else g
            first[key] = 0.9 * first[key] + 0.1 * g
            second[key] = 0.999 * second[key] + 0.001 * g**2
            update = first[key] / (1 - 0.9**t) / (np.sqrt(second[key] / (1 - 0.999**t)) + epsilon)
            if key == "kernel":  # decoupled from the moments
                update = update + decay * expected[key]
                ratio = np.linalg.norm(expected[key]) / np.linalg.norm(update)
                update = update * (ratio if name == "lamb" else 1.0)
            expected[key] = expected[key] - rate * (FACTORS[key] if rates else 1.0) * update
    if freeze:
        np.testing.assert_array_equal(params["frozen"]["kernel"], np.ones(5))
        sizes = [leaf.size for leaf in jax.tree.leaves(state)]
        assert sum(sizes) == 2 * (6 + 2 + 2) + 2, "two moments and two counts"
    for key, value in expected.items():
        np.testing.assert_allclose(params["layer"][key], value, rtol=1e-4, atol=1e-5)


PARAMS = {"stem": {"kernel": jnp.ones((2, 2))}, "head": {"kernel": jnp.ones(3), "bias": jnp.ones(1)}}


def test_the_state_without_groups_has_the_form_of_older_checkpoints():
    state = build_optimizer(resolve({}).optimizer, lambda _: 0.1).init(PARAMS)
    plain = optax.chain(
        optax.identity(), optax.add_decayed_weights(1.0, mask=kernels_only), optax.sgd(lambda _: 1.0, 0.9)
    ).init(PARAMS)
    assert jax.tree.structure(state) == jax.tree.structure(plain)


@pytest.mark.parametrize(
    "groups",
    [
        {"freeze": "stem/*"},
        {"rates": RATES},
        {"freeze": "stem/*", "rates": RATES},
        {"name": "adamw"},
        {"name": "lamb", "freeze": "stem/*", "rates": RATES},
    ],
)
def test_the_state_of_groups_survives_a_checkpoint(tmp_path, groups):
    optimizer = build_optimizer(resolve({"optimizer": groups}).optimizer, lambda _: 0.1)
    gradients = jax.tree.map(lambda x: x * 0.5, PARAMS)
    with jax.numpy_dtype_promotion("standard"):  # Adam's corrections mix integers and floats
        _, state = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
    weights = {"params": PARAMS}
    saved = Checkpoints(str(tmp_path), keep_last=1, keep_best=0)
    saved.save(1, weights=weights, optimizer={"opt_state": state}, description=Description(1, {}, ()))
    saved.wait()
    _, restored = saved.restore(1, weights=weights, optimizer={"opt_state": state})
    saved.close()
    assert jax.tree.structure(restored["opt_state"]) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored["opt_state"], state)
