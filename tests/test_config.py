import json

import pytest
from ml_collections import ConfigDict

from flax_googlenet.config import DEFAULTS, first_difference, flatten, resolve, to_json_dict
from flax_googlenet.errors import UserError


def test_defaults_fill_in_and_freeze():
    config = resolve(ConfigDict({"optimizer": {"learning_rate": 1}}))
    assert config.optimizer.learning_rate == 1.0
    assert isinstance(config.optimizer.learning_rate, float)
    assert config.optimizer.momentum == 0.9
    with pytest.raises(AttributeError):
        config.seed = 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param({"optimiser": {}}, r'"optimiser"; did you mean "optimizer"', id="section"),
        pytest.param({"optimizer": {"learning_rat": 1}}, r'did you mean "optimizer.learning_rate"', id="key"),
        pytest.param({"learning_rate": 1}, r'did you mean "optimizer.learning_rate"', id="wrong section"),
        pytest.param({"batch_size": "many"}, "must be a whole number", id="type"),
        pytest.param({"batch_size": True}, "must be a whole number", id="bool is no number"),
        pytest.param({"batch_size": 0}, "at least 1", id="zero"),
        pytest.param({"model": 3}, "is a section", id="section as value"),
        pytest.param({"data": {"mean": (1.0,)}}, "three numbers", id="tuple too short"),
        pytest.param({"model": {"normalization": "bach"}}, r'did you mean "batch"', id="choice"),
        pytest.param({"schedule": {"name": "linear"}}, "cannot be", id="unknown choice"),
        pytest.param({"model": {"variant": "bvcl"}}, r'did you mean "bvlc"', id="variant"),
        pytest.param({"model": {"aux_heads": 3}}, 'known are "0", "1", "2"', id="number as choice"),
        pytest.param({"model": {"variant": "vgg16", "pool4_window": 2}}, "nothing to vgg16", id="vgg16"),
        pytest.param({"model": {"variant": "vgg16", "normalization": "lrn"}}, '"batch"', id="vgg16 lrn"),
    ],
)
def test_mistakes_are_named_with_a_way_out(config, words):
    with pytest.raises(UserError, match=words) as caught:
        resolve(config)
    assert "\n" not in str(caught.value)


def test_variants_are_defaults():
    row = resolve({"model": {"variant": "torchvision"}})
    assert (row.model.third_kernel, row.data.mean) == (3, (127.5, 127.5, 127.5))
    changed = resolve({"model": {"variant": "torchvision", "third_kernel": 5}})
    assert (changed.model.third_kernel, changed.model.pool4_window) == (5, 2)


def test_inherited_values_come_before_the_row_and_after_what_is_given():
    inherited = {"model": {"variant": "torchvision", "dropout": 0.1, "aux_heads": 0}}
    config = resolve({"model": {"aux_heads": 1}}, inherited)
    assert (config.model.variant, config.model.third_kernel) == ("torchvision", 3)
    assert (config.model.dropout, config.model.aux_heads) == (0.1, 1)
    other = resolve({"model": {"variant": "bn"}}, inherited)
    assert (other.model.third_kernel, other.model.dropout, other.model.aux_heads) == (5, 0.4, 2)


def test_survives_json():
    config = resolve({"data": {"mean": [1, 2, 3], "path": 7}})
    again = resolve(json.loads(json.dumps(to_json_dict(config))))
    assert again == config
    assert again.data.mean == (1.0, 2.0, 3.0)
    assert again.data.path == "7"


def test_difference_ignores_what_changes_no_result():
    base = resolve({})
    assert (
        first_difference(base, resolve({"data": {"workers": 3, "path": "x"}, "log_every": "1 step"})) is None
    )
    assert first_difference(base, resolve({"optimizer": {"momentum": 0.5}})) == "optimizer.momentum"


def test_every_default_is_accepted_as_written():
    assert flatten(resolve(DEFAULTS)) == flatten(DEFAULTS)
