"""The public API of `import flax_googlenet`, and the imports that it avoids."""

import subprocess
import sys

import numpy as np
import pytest

import flax_googlenet
from flax_googlenet import checkpoints
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.training import loop

# Each takes a tenth of a second or more to import, and only some tasks need it.
LATE = ("matplotlib", "tensorboardX", "optax", "requests", "torch", "onnx", "tensorflow")


def test_every_name_is_there():
    assert {"train", "evaluate", "load", "load_pretrained", "import_weights", "export", "VARIANTS"} <= set(
        flax_googlenet.__all__
    )
    for name in flax_googlenet.__all__:
        assert getattr(flax_googlenet, name).__doc__
    assert set(flax_googlenet.__all__) <= set(dir(flax_googlenet))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        flax_googlenet.trian  # noqa: B018


def test_the_import_leaves_out_packages_that_only_some_tasks_need():
    code = f"import sys, flax_googlenet; print(*sorted(set({LATE!r}) & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == ""


def test_training_does_not_import_pytorch():
    """It would take more than a second."""
    code = "import sys, flax_googlenet.training; print(*sorted({'tensorboardX', 'torch'} & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "tensorboardX"


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> str:
    """A checkpoint with a config and a single array."""
    config = resolve({"model": {"variant": "torchvision", "num_classes": 9}, "data": {"image_size": 64}})
    description = checkpoints.Description(7, to_json_dict(config), tuple("abcdefghi"))
    workdir = tmp_path_factory.mktemp("origin")
    checkpoints.write(str(workdir), {"params": {"x": np.zeros(1, np.float32)}}, description)
    return str(workdir)


def test_a_config_inherits(origin):
    config = flax_googlenet.resolve_config({"init_from": origin, "model": {"num_classes": 3}})
    assert (config.model.variant, config.model.normalization) == ("torchvision", "batch")
    assert (config.data.image_size, config.model.num_classes) == (64, 3)
    assert flax_googlenet.resolve_config(config) == config
    plain = flax_googlenet.resolve_config({})
    assert (plain.model.variant, plain.data.image_size) == ("paper", 224)


def test_a_resolved_config_reads_no_checkpoint(origin):
    config = flax_googlenet.resolve_config({"init_from": origin}).to_dict() | {"init_from": "/gone"}
    assert flax_googlenet.resolve_config(config).model.variant == "torchvision"
    with pytest.raises(flax_googlenet.UserError, match="There is no checkpoint in /gone"):
        flax_googlenet.resolve_config({"init_from": "/gone"})


def test_training_inherits(origin, tmp_path, monkeypatch):
    configs = []

    class Stub:
        def __init__(self, config, *_):
            configs.append(config)

        def execute(self):
            return {"step": 1}

    monkeypatch.setattr(loop, "_Run", Stub)
    assert flax_googlenet.train({"init_from": origin}, tmp_path / "run") == {"step": 1}
    assert configs == [flax_googlenet.resolve_config({"init_from": origin})]
    assert configs[0].model.variant == "torchvision"
