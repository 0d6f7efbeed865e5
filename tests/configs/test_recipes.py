"""The recipes for ImageNet: what their docstrings claim is what they set, schedule and update."""

import ast
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.config import flatten, resolve
from flax_googlenet.data.images.training_crops import RANDOM_INTERPOLATIONS
from flax_googlenet.models import build_model
from flax_googlenet.sharding import data_mesh, replicate, split_batch
from flax_googlenet.training.durations import make_timetable, to_steps
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.state import place_initial_state
from flax_googlenet.training.step import make_train_step
from flax_googlenet.variants import VARIANTS
from launch.common import config_file
from tests.support.commands import REPOSITORY

IMAGENET = 1_281_167
RECIPES = ("bvlc", "paper", "modern")

# What a recipe sets for every recipe alike, or what affects no result.
PLAIN = {"seed", "log_every", "evaluation.batch_size", "model.num_classes", "data.source"}

# The words of a docstring, and the keys that they are about. A key that the file leaves to its default may be
# claimed, too; every other key that the file sets must be.
CLAIMS = {
    "bvlc": [
        ("bvlc_googlenet", {"model.variant": "bvlc"}),
        ("stretched to 256x256", {"data.stretch": True, "data.resize": 256}),
        ("cropped to 224x224 at a random place", {"data.train_crop": "random", "data.image_size": 224}),
        ("mirrored", {"data.mirror": True}),
        ("batches of 32", {"batch_size": 32, "optimizer.learning_rate_batch": 0}),
        ("SGD", {"optimizer.name": "sgd", "optimizer.nesterov": False}),
        ("momentum 0.9", {"optimizer.momentum": 0.9}),
        ("weight decay 2e-4 on kernels", {"optimizer.weight_decay": 2e-4}),
        ("twice the rate for biases", {"optimizer.rates": (("*/bias", 2.0),)}),
        ("uniform in +-sqrt(3 / fan_in)", {"model.initializer": "lecun"}),
        ("biases start at 0.2", {"model.initial_bias": 0.2}),
        ("2,400,000 steps", {"duration": "2400000 steps", "schedule.warmup": "0 steps"}),
        ("0.01 * (1 - t/T)^0.5", {"optimizer.learning_rate": 0.01, "schedule.name": "polynomial"}),
        ("(1 - t/T)^0.5", {"schedule.power": 0.5}),
        ("0.96^floor(t / 320,000)", {"schedule.decay_rate": 0.96, "schedule.decay_every": "320000 steps"}),
    ],
    "paper": [
        ("the paper's network", {"model.variant": "paper"}),
        ("dropout of 40%", {"model.dropout": 0.4}),
        ("of 70% in the auxiliary heads", {"model.aux_dropout": 0.7, "model.aux_heads": 2}),
        ("the weight 0.3", {"loss.aux_weight": 0.3}),
        ("SGD with momentum 0.9", {"optimizer.name": "sgd", "optimizer.momentum": 0.9}),
        ("falls by 4% every 8 epochs", {"schedule.decay_rate": 0.96, "schedule.decay_every": "8 epochs"}),
        ("falls by 4% every", {"schedule.name": "step"}),
        ("without a warm-up", {"schedule.warmup": "0 steps"}),
        ("Polyak averaging", {"averaging.kind": "polyak"}),
        ("crops of 8% to 100% of the area", {"data.train_crop": "random_resized"}),
        ("bilinear, area, nearest or cubic interpolation", {"data.train_interpolation": "random"}),
        ("change by up to 50%", {"data.photometric": 0.5}),
        ("a deviation of 0.1", {"data.lighting": 0.1}),
        ("batches of 32", {"batch_size": 32, "optimizer.learning_rate_batch": 0}),
        ("the rate 0.01 at the start", {"optimizer.learning_rate": 0.01, "optimizer.rates": ()}),
        ("250 epochs", {"duration": "250 epochs"}),
        ("weight decay 2e-4 on kernels", {"optimizer.weight_decay": 2e-4}),
        ("He initialization", {"model.initializer": "he"}),
        ("biases from 0", {"model.initial_bias": 0.0}),
        ("flips", {"data.mirror": True}),
        ("the last 25 epochs", {"averaging.start": "225 epochs"}),
    ],
    "modern": [
        ("300 epochs", {"duration": "300 epochs"}),
        ("SGD with momentum 0.9", {"optimizer.name": "sgd", "optimizer.momentum": 0.9}),
        ("0.5 for a batch of 1024", {"optimizer.learning_rate": 0.5, "batch_size": 1024}),
        ("for a batch of 1024", {"optimizer.learning_rate_batch": 1024}),
        ("a cosine after a warm-up of 5 epochs", {"schedule.name": "cosine", "schedule.warmup": "5 epochs"}),
        ("Label smoothing 0.1", {"loss.label_smoothing": 0.1}),
        ("mixup 0.2", {"data.mixup": 0.2}),
        ("CutMix 1.0", {"data.cutmix": 1.0}),
        ("an exponential average", {"averaging.kind": "ema"}),
        ("at 192 pixels", {"data.image_size": 192, "data.train_crop": "random_resized"}),
        ("images resized to 224", {"data.resize": 224}),
        ("The variant bn", {"model.variant": "bn"}),
        ("Nesterov", {"optimizer.nesterov": True}),
        ("weight decay 5e-5", {"optimizer.weight_decay": 5e-5}),
        ("two operations of magnitude 6", {"data.randaugment": 2, "data.randaugment_magnitude": 6.0}),
        ("the decay 0.9999", {"averaging.decay": 0.9999}),
        ("He initialization", {"model.initializer": "he"}),
        ("dropout 0.2", {"model.dropout": 0.2}),
        ("bfloat16", {"model.dtype": "bfloat16"}),
    ],
}


def settings_of(recipe, arguments=""):
    return config_file.load(f"{REPOSITORY}/configs/imagenet.py:recipe={recipe}{arguments}")


def docstring_of(recipe):
    text = (REPOSITORY / f"configs/{recipe}.py").read_text()
    return " ".join((ast.get_docstring(ast.parse(text)) or "").split())


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_claims_of_the_docstring_are_what_the_file_sets(recipe):
    settings = settings_of(recipe)
    resolved, claimed = flatten(resolve(settings)), set()
    docstring = docstring_of(recipe)
    for words, keys in CLAIMS[recipe]:
        assert words in docstring
        assert {key: resolved[key] for key in keys} == keys, words
        claimed |= set(keys)
    assert set(flatten(settings)) - PLAIN <= claimed, "the docstring says nothing of these"


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_docstring_says_source_hardware_and_result(recipe):
    docstring = docstring_of(recipe)
    for word in ("Command", "Source", "Hardware", "Expect", "not yet run"):
        assert word in docstring


def test_the_figures_of_the_docstrings_are_products():
    """Hours are those of reading every image once per epoch, at the rate that the docstring assumes."""
    for recipe, rate, images, hours in (
        ("bvlc", 1_000, "76.8 million", "21 hours"),
        ("paper", 1_000, "320 million", "89 hours"),
        ("modern", 10_000, "384 million", "10.7 hours"),
    ):
        config = resolve(settings_of(recipe))
        steps = to_steps(config.duration, batch_size=config.batch_size, epoch_size=IMAGENET)
        total = steps * config.batch_size
        assert f"{images} images: {hours} at {rate:,} images/s" in docstring_of(recipe)
        assert total == pytest.approx(float(images.split()[0]) * 1e6, rel=2e-3)
        assert total / rate / 3600 == pytest.approx(float(hours.split()[0]), rel=0.02)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("recipe", ["baseline", *RECIPES])
def test_a_recipe_trains_any_variant(recipe, variant):
    own, other = resolve(settings_of(recipe)), resolve(settings_of(recipe, f",variant={variant}"))
    assert other.model.variant == variant
    assert (own.optimizer, own.schedule, own.averaging) == (other.optimizer, other.schedule, other.averaging)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_entry_repeats_no_recipe(recipe):
    assert settings_of(recipe) == config_file.load(f"{REPOSITORY}/configs/{recipe}.py")


def paper_rate(step, steps_per_epoch):
    return 0.01 * 0.96 ** math.floor(step / (8 * steps_per_epoch))


def modern_rate(step, steps_per_epoch):
    warmup, total = 5 * steps_per_epoch, 300 * steps_per_epoch
    if step < warmup:
        return 0.5 * step / warmup
    return 0.25 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


@pytest.mark.parametrize(
    ("recipe", "closed_form", "batch"), [("paper", paper_rate, 32), ("modern", modern_rate, 1024)]
)
def test_the_schedule_is_its_closed_form(recipe, closed_form, batch):
    """Over epochs of 100 steps; the rates of bvlc are in test_configs.py."""
    config = resolve(settings_of(recipe))
    timetable = make_timetable(config, 100 * batch)
    schedule = build_schedule(config, total_steps=timetable.total, epoch_size=100 * batch)
    steps = [0, 1, 499, 500, 799, 800, 1600, timetable.total // 2, timetable.total - 1]
    expected = [closed_form(step, 100) for step in steps]
    np.testing.assert_allclose([schedule(step) for step in steps], expected, rtol=1e-4, atol=1e-8)
    assert (timetable.warmup, timetable.averaging_start) == {"paper": (0, 22_500), "modern": (500, 0)}[recipe]


DECAY = {"paper": 2e-4, "modern": 5e-5}


@pytest.mark.parametrize("recipe", DECAY)
def test_the_update_is_that_of_sgd_with_decay_on_kernels_only(recipe):
    """Biases and norms have the rate of kernels; bvlc's update is in test_configs.py."""
    rate, decay = 0.1, DECAY[recipe]
    optimizer = build_optimizer(resolve(settings_of(recipe)).optimizer, lambda _: rate)
    values = {"kernel": 50.0, "bias": 20.0, "scale": 10.0}
    params = {"layer": {name: jnp.full((1,), value) for name, value in values.items()}}
    state, velocity = optimizer.init(params), dict.fromkeys(values, 0.0)
    for g in (1.0, -3.0):
        gradients = jax.tree.map(lambda x, g=g: jnp.full_like(x, g), params)
        updates, state = optimizer.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
        for name in values:
            gradient = g + (decay * values[name] if name == "kernel" else 0.0)
            velocity[name] = 0.9 * velocity[name] + gradient
            values[name] -= rate * (0.9 * velocity[name] + gradient if recipe == "modern" else velocity[name])
    for name, value in values.items():
        np.testing.assert_allclose(params["layer"][name], [value], rtol=1e-6)


def test_the_paper_draws_its_four_interpolations():
    assert sorted(RANDOM_INTERPOLATIONS) == ["area", "cubic", "linear", "nearest"]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_takes_steps(recipe, small_table):
    """Two steps of a small network on small images; the schedule is that of a whole run."""
    settings = settings_of(recipe)
    settings["batch_size"] = 8
    settings["model"]["num_classes"] = 4
    settings["data"] |= {"image_size": 32, "resize": 36}
    config = resolve(settings)
    timetable = make_timetable(config, IMAGENET)
    model = build_model(config.model).clone(table=small_table)
    schedule = build_schedule(config, total_steps=timetable.total, epoch_size=IMAGENET)
    optimizer = build_optimizer(config.optimizer, schedule)
    mesh = data_mesh(jax.devices()[:1])
    state = place_initial_state(config, model, optimizer, replicate(mesh))
    before = jax.device_get(state.params)
    step = make_train_step(config, model, optimizer, schedule, mesh, timetable.averaging_start)
    rng = np.random.default_rng(0)
    for index in range(2):
        batch = {
            "image": rng.integers(0, 256, (8, 32, 32, 3), dtype=np.uint8),
            "label": rng.integers(0, 4, 8).astype(np.int32),
        }
        with jax.numpy_dtype_promotion("standard"):  # Optax's cosine divides integers by floats
            state, metrics = step(state, jax.device_put(batch, split_batch(mesh)))
        np.testing.assert_allclose(metrics["learning_rate"], schedule(index), rtol=1e-6)
        assert np.isfinite(metrics["loss"])
    assert metrics["gradient_norm"] > 0
    # The warm-up of modern starts at a rate of 0, so that the first step changes nothing.
    assert not np.array_equal(before["head"]["kernel"], state.params["head"]["kernel"])
    assert bool(state.averaged_params) == (recipe != "bvlc")
