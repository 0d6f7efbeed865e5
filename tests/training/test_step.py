import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.checkpoints import evaluation_variables
from flax_googlenet.config import resolve
from flax_googlenet.data.augmentation.pipeline import augment
from flax_googlenet.models import VGG16, GoogLeNet
from flax_googlenet.sharding import data_mesh, replicate, split_batch
from flax_googlenet.table import CONFIGURATION_D
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step

STEPS = 2


def run(
    small_table, rng_seed=0, devices=1, dropout=0.4, normalization="none", start=0, model=None, **sections
):
    """Train for two steps; return the states and metrics of each, and the final state."""
    config = resolve({"batch_size": 16, "data": {"image_size": 32}, "model": {"num_classes": 4}, **sections})
    model = model or GoogLeNet(
        num_classes=4,
        table=small_table,
        dropout=dropout,
        aux_dropout=dropout,
        normalization=normalization,
        kernel_init=jax.nn.initializers.he_normal(),
    )
    schedule = optax.constant_schedule(0.05)
    optimizer = build_optimizer(config.optimizer, schedule)
    mesh = data_mesh(jax.devices()[:devices])
    step = make_train_step(config, model, optimizer, schedule, mesh, averaging_start=start)
    state = jax.jit(lambda: initial_state(config, model, optimizer), out_shardings=replicate(mesh))()
    rng = np.random.default_rng(rng_seed)
    trace = []
    for _ in range(STEPS):
        batch = {
            "image": rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8),
            "label": rng.integers(0, 4, 16).astype(np.int32),
        }
        before = jax.device_get(state)
        state, metrics = step(state, jax.device_put(batch, split_batch(mesh)))
        trace.append((before, jax.device_get(metrics)))
    return trace, jax.device_get(state)


def assert_close(a, b, atol: float) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=atol), a, b)


@pytest.fixture(scope="module")
def one_device(small_table):
    return run(small_table)


def test_metrics_and_step_count(one_device):
    trace, state = one_device
    assert int(state.step) == STEPS
    for _, metrics in trace:
        heads = {"loss_logits", "loss_aux_4a", "loss_aux_4d"}
        assert set(metrics) == {"loss", "gradient_norm", "learning_rate", "top1"} | heads
        assert metrics["top1"] * 16 == round(metrics["top1"] * 16)
        assert metrics["gradient_norm"] > 0
        expected = metrics["loss_logits"] + 0.3 * (metrics["loss_aux_4a"] + metrics["loss_aux_4d"])
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-6)
    assert metrics["learning_rate"] == pytest.approx(0.05)


def test_is_deterministic_bit_for_bit(one_device, small_table):
    _, again = run(small_table)
    jax.tree.map(np.testing.assert_array_equal, one_device[1].params, again.params)


@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_eight_devices_are_one(one_device, small_table, normalization):
    """Dropout, flips and batch statistics are those of the global batch.

    Only the order of float32 sums over the batch differs.
    """
    one = one_device if normalization == "none" else run(small_table, normalization="batch")
    eight = run(small_table, devices=8, normalization=normalization)
    for (_, a), (_, b) in zip(one[0], eight[0], strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), one[1].params, eight[1].params
    )


WITHOUT_RANDOMNESS = {"dropout": 0.0, "data": {"image_size": 32, "mirror": False}}


@pytest.fixture(scope="module")
def whole_batch(small_table):
    return run(small_table, **WITHOUT_RANDOMNESS)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_is_the_whole_batch(whole_batch, small_table, parts):
    whole, whole_state = whole_batch
    split, split_state = run(small_table, optimizer={"accumulate": parts}, **WITHOUT_RANDOMNESS)
    np.testing.assert_allclose(whole[1][1]["loss"], split[1][1]["loss"], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        whole_state.params,
        split_state.params,
    )


AUGMENTED = {"image_size": 32, "photometric": 0.5, "mixup": 0.4, "cutmix": 1.0, "erasing": 0.5}


@pytest.mark.parametrize(
    ("augmentation", "parts"),
    [
        pytest.param(AUGMENTED, 1, id="mixed"),
        pytest.param(AUGMENTED, 2, id="mixed, in two parts"),
        pytest.param({"image_size": 32}, 1, id="one label per image"),
    ],
)
def test_trains_on_augmented_images_and_mixed_targets(small_table, augmentation, parts):
    """All heads train on the same images, and the reported losses are those to their smoothed targets.

    Accuracy and "cross_entropy" are those of the main head to targets that are not smoothed.
    """
    trace, _ = run(
        small_table,
        dropout=0.0,
        data=augmentation,
        optimizer={"accumulate": parts},
        loss={"label_smoothing": 0.1},
    )
    state, metrics = trace[0]
    data = resolve({"data": augmentation}).data
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 4, 16).astype(np.int32)
    model = GoogLeNet(num_classes=4, table=small_table, dropout=0.0, aux_dropout=0.0, normalization="none")

    @jax.jit
    def expected(key, images, labels):
        images, targets = augment(key, jax.random.split(key)[0], images, labels, data, num_classes=4)
        shares = jax.nn.one_hot(targets, 4) if targets.ndim == 1 else targets
        outputs = model.apply({"params": state.params}, images, train=True)

        def to(targets, logits):
            return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()

        of_heads = {f"loss_{head}": to(0.9 * shares + 0.1 / 4, logits) for head, logits in outputs.items()}
        main = outputs["logits"]
        right = (main.argmax(-1) == shares.argmax(-1)).astype(jnp.float32)
        return {**of_heads, "cross_entropy": to(shares, main), "top1": right.mean()}, shares

    key = jax.random.fold_in(jax.random.key(0), 0)
    keys = [key] if parts == 1 else [jax.random.fold_in(key, part) for part in range(parts)]
    found = [expected(key, images[i::parts], labels[i::parts]) for i, key in enumerate(keys)]
    for _, shares in found:
        assert (shares.max(-1) < 1).any() == ("mixup" in augmentation)
    for name in found[0][0]:
        mean = np.mean([figures[name] for figures, _ in found])
        np.testing.assert_allclose(metrics[name], mean, rtol=1e-4, err_msg=name)
    assert metrics["cross_entropy"] != metrics["loss_logits"]


def test_augmentation_on_eight_devices_is_that_on_one(small_table):
    one, eight = (run(small_table, data=AUGMENTED, devices=devices)[0] for devices in (1, 8))
    for (_, a), (_, b) in zip(one, eight, strict=True):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    assert one[0][1]["loss"] != one[1][1]["loss"]


def test_vgg_takes_the_same_step():
    rows = tuple(
        dataclasses.replace(row, filters=tuple(n // 32 for n in row.filters)) for row in CONFIGURATION_D
    )
    trace, state = run(None, model=VGG16(num_classes=4, table=rows), devices=2)
    (before, metrics), _ = trace
    assert set(metrics) == {"loss", "loss_logits", "gradient_norm", "learning_rate", "top1"}
    for name in ("conv1_1", "fc6", "head"):
        layer = lambda params, name=name: params[name].get("conv", params[name])["kernel"]  # noqa: E731
        assert not np.array_equal(layer(before.params), layer(state.params)), name


def test_the_state_keeps_averaged_weights(small_table):
    trace, state = run(small_table, averaging={"kind": "polyak"})
    second = trace[1][0]  # the state after the first step
    kernel = lambda params: params["head"]["kernel"]  # noqa: E731
    expected = (kernel(second.params) + kernel(state.params)) / 2
    np.testing.assert_allclose(kernel(state.averaged_params), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(
        kernel(evaluation_variables(state.weights())["params"]), kernel(state.averaged_params)
    )


FREEZE = ("stem/*", "inception_3a/*", "aux_4a/conv/norm/scale")


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"devices": 8}], ids=str)
def test_frozen_parameters_and_statistics_stay_as_they_are(small_table, options):
    devices = options.get("devices", 1)
    optimizer = {"accumulate": options.get("accumulate", 1), "freeze": FREEZE}
    trace, state = run(
        small_table,
        normalization="batch",
        devices=devices,
        optimizer=optimizer,
        averaging={"kind": "ema"},
    )
    first = trace[0][0]
    for found, start in (
        (state.params, first.params),
        (state.averaged_params, first.params),
        (state.batch_stats, first.batch_stats),
    ):
        pairs = zip(jax.tree_util.tree_leaves_with_path(found), jax.tree.leaves(start), strict=True)
        for (path, value), before in pairs:
            name = "/".join(part.key for part in path)
            # A normalization whose bias is trained is not frozen: its statistics change.
            frozen = name.startswith(("stem/", "inception_3a/")) or name == "aux_4a/conv/norm/scale"
            assert (value.tobytes() == before.tobytes()) == frozen, name


def test_frozen_parameters_do_not_count_in_the_gradient_norm(one_device, small_table):
    """The squared norms of two complementary halves add up to that of the whole."""
    halves = ("stem/*", "aux_*"), ("inception_*", "head/*")
    traces = [one_device[0], *(run(small_table, optimizer={"freeze": half})[0] for half in halves)]
    whole, a, b = (trace[0][1]["gradient_norm"] for trace in traces)
    assert min(a, b) > 0
    np.testing.assert_allclose(a**2 + b**2, whole**2, rtol=1e-4)


def lower_step(small_table, remat=False, seed=0, **optimizer):
    """Lower the step of a small network on one device, for a batch of 32."""
    config = resolve(
        {
            "seed": seed,
            "model": {"num_classes": 4, "remat": remat},
            "data": {"image_size": 32},
            "optimizer": optimizer,
        }
    )
    model = GoogLeNet(num_classes=4, table=small_table, aux_heads=0, remat=remat)
    built = build_optimizer(config.optimizer, lambda _: 0.1)
    step = make_train_step(config, model, built, lambda _: 0.1, data_mesh(jax.devices()[:1]), 0)
    state = jax.eval_shape(lambda: initial_state(config, model, built))
    batch = {
        "image": jax.ShapeDtypeStruct((32, 32, 32, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((32,), jnp.int32),
    }
    return step.lower(state, batch)


def test_seeds_share_a_program(small_table):
    first, second = (lower_step(small_table, seed=seed).as_text() for seed in (0, 2**40))
    assert first == second


def test_frozen_layers_cost_no_backward_pass(small_table):
    def flops(**optimizer) -> float:
        return lower_step(small_table, **optimizer).compile().cost_analysis()["flops"]

    whole = flops()
    assert flops(freeze=("stem/*",)) < 0.9 * whole
    assert flops(freeze=("stem/*", "inception_*")) < 0.5 * whole


def test_rematerialization_takes_less_memory(small_table):
    kept, recomputed = (
        lower_step(small_table, remat).compile().memory_analysis().temp_size_in_bytes
        for remat in (False, True)
    )
    assert recomputed < 0.9 * kept


def test_rematerialization_takes_the_same_step(small_table):
    """The statistics of batch normalization and the masks of dropout included."""
    options = {"num_classes": 4, "table": small_table, "normalization": "batch", "dropout": 0.4}
    freeze = {"freeze": ("inception_3a/*",)}
    kept, recomputed = (
        run(
            small_table,
            devices=8,
            model=GoogLeNet(**options, remat=remat),
            optimizer=freeze,
        )
        for remat in (False, True)
    )
    assert jax.tree.structure(kept[1]) == jax.tree.structure(recomputed[1])
    assert_close(kept[0][0][1], recomputed[0][0][1], atol=1e-5)
    assert_close(kept[1].batch_stats, recomputed[1].batch_stats, atol=1e-5)
    assert_close(kept[1].params, recomputed[1].params, atol=1e-4)
