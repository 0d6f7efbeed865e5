import ast
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.config import resolve, with_num_classes
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from flax_googlenet.training.durations import to_steps
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.parameter_groups import check_patterns, factor, is_frozen
from flax_googlenet.training.state import initial_state

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.py"))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request):
    return request.param


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_is_a_lab_note_that_imports_ml_collections_only(path):
    tree = ast.parse(path.read_text())
    assert "launch.train" in ast.get_docstring(tree)
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    entry = {"configs"} if path.stem == "imagenet" else set()  # it calls the recipes
    assert {"ml_collections"} | entry <= imported <= {"ml_collections", "typing"} | entry
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert len(path.read_text().splitlines()) <= 70


def test_builds(path):
    # Some configs leave the number of classes to the data set.
    config = with_num_classes(resolve(load(path).get_config()), 37)
    model = build_model(config.model)
    assert summarize(model, config.data.image_size).params > 0
    total = to_steps(config.duration, batch_size=config.batch_size, epoch_size=4000)
    schedule = build_schedule(config, total_steps=total, epoch_size=4000)
    optimizer = build_optimizer(config.optimizer, schedule)
    state = jax.eval_shape(lambda: initial_state(config, model, optimizer))
    assert state.params["head"]["kernel"].shape[-1] == config.model.num_classes > 0
    check_patterns(config.optimizer, state.params)
    assert 0 <= float(schedule(total - 1)) < float(schedule(total // 2))


def test_imagenet_is_bvlcs_recipe_for_the_network_of_the_paper():
    config = resolve(load(next(path for path in CONFIGS if path.stem == "imagenet")).get_config())
    assert summarize(build_model(config.model), 224).params_with_aux == 13_378_280
    schedule = build_schedule(
        resolve({**config.to_dict(), "batch_size": 32}), total_steps=2_400_000, epoch_size=1_281_167
    )
    warmup = to_steps(config.schedule.warmup, batch_size=32, epoch_size=1_281_167)
    assert float(schedule(warmup)) == pytest.approx(0.01)
    assert (config.optimizer.weight_decay, config.optimizer.momentum) == (2e-4, 0.9)


BVLC = next(path for path in CONFIGS if path.stem == "bvlc")


def caffe_rates(solver, steps):
    """Return the rates of Caffe's solvers, as their prototxt files define them."""
    if solver == "quick":
        return [0.01 * (1 - step / 2_400_000) ** 0.5 for step in steps]
    return [0.01 * 0.96 ** (step // 320_000) for step in steps]


@pytest.mark.parametrize(("solver", "length"), [("quick", 2_400_000), ("full", 10_000_000)])
def test_bvlc_has_the_rates_of_caffes_solver(solver, length):
    config = resolve(load(BVLC).get_config(solver))
    assert to_steps(config.duration, batch_size=32, epoch_size=1_281_167) == length
    schedule = build_schedule(config, total_steps=length, epoch_size=1_281_167)
    steps = (0, 1, 319_999, 320_000, 1_000_000, length - 1)
    np.testing.assert_allclose([schedule(step) for step in steps], caffe_rates(solver, steps), rtol=1e-4)


def test_bvlc_updates_as_caffe_does():
    """Weight decay on kernels only, and twice the rate for biases, of a parameter of each kind."""
    config = resolve(load(BVLC).get_config())
    optimizer = build_optimizer(config.optimizer, lambda _: 0.01)
    params = {"conv": {"kernel": jnp.full((1, 1), 0.5), "bias": jnp.full((1,), 0.2)}}
    gradients = ({"conv": {"kernel": jnp.full((1, 1), g), "bias": jnp.full((1,), g)}} for g in (1.0, -3.0))
    state = optimizer.init(params)
    kernel, bias, history = 0.5, 0.2, np.zeros(2)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        g = float(gradient["conv"]["bias"][0])
        # Caffe: history = momentum * history + lr * lr_mult * (gradient + decay * decay_mult * weight)
        history = 0.9 * history + 0.01 * np.array([g + 2e-4 * kernel, 2 * g])
        kernel, bias = kernel - history[0], bias - history[1]
    np.testing.assert_allclose(params["conv"]["kernel"][0, 0], kernel, rtol=1e-6)
    np.testing.assert_allclose(params["conv"]["bias"][0], bias, rtol=1e-6)


def test_bvlc_crops_and_fills_as_caffe_does():
    config = resolve(load(BVLC).get_config())
    assert (config.data.stretch, config.data.resize, config.data.image_size) == (True, 256, 224)
    assert (config.data.train_crop, config.data.mirror, config.data.channel_order) == ("random", True, "bgr")
    assert (config.data.mean, config.data.std) == ((123.0, 117.0, 104.0), (1.0, 1.0, 1.0))
    assert (config.model.initializer, config.model.initial_bias) == ("lecun", 0.2)
    assert (config.loss.aux_weight, config.model.aux_heads) == (0.3, 2)


def test_mnist_sample_is_the_paper_without_normalization():
    config = resolve(load(next(path for path in CONFIGS if path.stem == "mnist_sample")).get_config())
    assert config.model.normalization == "none"
    assert config.model.aux_heads == 2
    assert config.model.reduce3x3
    assert config.model.reduce5x5
    assert config.model.project_pool
    assert config.data.image_size >= 56


def test_fine_tuning_freezes_the_bottom_and_speeds_up_the_heads():
    config = resolve(load(next(path for path in CONFIGS if path.stem == "fine_tune")).get_config())
    assert config.model.num_classes == 0
    frozen = {name: is_frozen(f"{name}/conv/kernel", config.optimizer.freeze) for name in NAMES}
    assert frozen == {"stem/conv1": True, "inception_3b/conv1x1": True, "inception_4a/conv1x1": False}
    assert [
        factor(f"{head}/kernel", config.optimizer.rates) for head in ("head", "aux_4d/head", "aux_4d/fc")
    ] == [
        10.0,
        10.0,
        1.0,
    ]


NAMES = ("stem/conv1", "inception_3b/conv1x1", "inception_4a/conv1x1")
