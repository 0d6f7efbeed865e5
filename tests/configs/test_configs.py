import ast
import importlib.util
import pathlib

import jax
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
    assert imported == {"ml_collections"}
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
