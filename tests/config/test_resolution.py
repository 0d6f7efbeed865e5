import json

import pytest
from absl import flags
from ml_collections import ConfigDict, config_flags

from flax_googlenet.config import (
    DEFAULTS,
    first_difference,
    flatten,
    resolve,
    to_json_dict,
    with_num_classes,
)
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
        pytest.param(
            {"model": {"num_classes": -1}},
            "num_classes is -1; it must be a whole number of at least 0",
            id="classes",
        ),
        pytest.param({"data": {"val_share": 1.0}}, "val_share is 1.0; .* above 0 and below 1", id="share"),
        pytest.param({"data": {"split_seed": -1}}, "between 0 and 4294967295", id="split seed"),
        pytest.param({"optimizer": {"freeze": 3}}, r'such as \("stem/\*", "inception_3\*"\)', id="freeze"),
        pytest.param({"optimizer": {"freeze": ("stem/*", 1)}}, "must be patterns", id="freeze a number"),
        pytest.param({"optimizer": {"freeze": ("",)}}, "must be patterns", id="freeze nothing"),
        pytest.param(
            {"optimizer": {"rates": ("head/*", 10.0)}},
            r'rates is \(\'head/\*\', 10.0\); .* such as \(\("head/\*", 10.0\),\)',
            id="no pair",
        ),
        pytest.param({"optimizer": {"rates": "head/*"}}, "must be pairs", id="pattern without a rate"),
        pytest.param({"optimizer": {"rates": (("head/*", "10"),)}}, "must be pairs", id="rate as a string"),
        pytest.param({"optimizer": {"rates": (("head/*", 0),)}}, "factor above 0", id="rate 0"),
        pytest.param({"optimizer": {"rates": (("head/*", True),)}}, "must be pairs", id="rate true"),
        pytest.param({"data": {"photometric": 1.5}}, "photometric is 1.5; .* between 0 and 1", id="strength"),
        pytest.param({"data": {"erasing": -0.1}}, "erasing is -0.1; .* between 0 and 1", id="probability"),
        pytest.param({"data": {"erasing": float("nan")}}, "between 0 and 1", id="not a number"),
        pytest.param({"data": {"erasing_fill": "nose"}}, 'did you mean "noise"', id="fill"),
        pytest.param({"data": {"mixup": -1}}, "mixup is -1; .* finite number of at least 0", id="mixup"),
        pytest.param({"data": {"cutmix": float("inf")}}, "cutmix is inf; .* a finite number", id="cutmix"),
        pytest.param({"data": {"lighting": -0.1}}, "lighting is -0.1; .* at least 0", id="lighting"),
        pytest.param({"data": {"randaugment": -1}}, "randaugment is -1; .* at least 0", id="operations"),
        pytest.param({"data": {"randaugment_magnitude": 31}}, "between 0 and 30", id="magnitude"),
        pytest.param({"loss": {"label_smoothing": 1.1}}, "between 0 and 1", id="smoothing"),
        pytest.param(
            {"data": {"mixup": 0.2}, "batch_size": 1}, "mixup mixes images .* is 1;", id="one image"
        ),
        pytest.param(
            {"data": {"cutmix": 1}, "batch_size": 8, "optimizer": {"accumulate": 8}},
            "cutmix .* lower config.optimizer.accumulate",
            id="parts of one image",
        ),
        pytest.param({"model": 3}, "is a section", id="section as value"),
        pytest.param(
            {"model": {"aux_heads": 2, "single_aux_head": "aux_4a"}},
            '"aux_4a", which has no effect with 2 auxiliary heads; set config.model.aux_heads to 1',
            id="a single head of two",
        ),
        pytest.param(
            {"model": {"variant": "vgg16", "single_aux_head": "aux_4a"}},
            "single_aux_head has no effect on vgg16",
            id="a single head of none",
        ),
        pytest.param(
            {"optimizer": {"name": "adamw", "momentum": 0.95}},
            "optimizer.momentum is 0.95, which has no effect on adamw; leave it out",
            id="momentum of adamw",
        ),
        pytest.param(
            {"optimizer": {"name": "lamb", "nesterov": True}},
            'nesterov is True, which has no effect on lamb; .* config.optimizer.name to "sgd"',
            id="nesterov of lamb",
        ),
        pytest.param({"optimizer": {"name": "adam"}}, 'did you mean "adamw"', id="optimizer"),
        pytest.param({"data": {"mean": (1.0,)}}, "three finite numbers", id="tuple too short"),
        pytest.param({"model": {"normalization": "bach"}}, r'did you mean "batch"', id="choice"),
        pytest.param(
            {"schedule": {"name": "linear"}},
            "'linear'; it must be .* or \"constant\"\\.",
            id="unknown choice",
        ),
        pytest.param({"model": {"variant": "bvcl"}}, r'did you mean "bvlc"', id="variant"),
        pytest.param({"model": {"aux_heads": 3}}, "is 3; it must be 2, 1 or 0", id="number as choice"),
        pytest.param({"model": {"variant": "vgg16", "pool4_window": 2}}, "no effect on vgg16", id="vgg16"),
        pytest.param({"model": {"aux_heads": 1.0}}, "is 1.0; it must be 2, 1 or 0", id="choice as a float"),
        pytest.param({"model": {"aux_heads": True}}, "is True; it must be 2, 1", id="choice as a bool"),
        pytest.param({"duration": "1e999 steps"}, "config.duration is '1e999 steps'", id="endless"),
        pytest.param({"duration": "0 epochs"}, "a duration above 0", id="no duration"),
        pytest.param({"log_every": 100}, 'config.log_every is 100; .* such as "50 steps"', id="no unit"),
        pytest.param({"log_every": "nan epochs"}, "config.log_every is 'nan epochs'", id="duration NaN"),
        pytest.param({"averaging": {"start": "-1 steps"}}, "averaging.start is", id="before the start"),
        pytest.param({"schedule": {"decay_every": "0 steps"}}, "decay_every is '0 steps'", id="decay"),
        pytest.param({"optimizer": {"learning_rate": 10**400}}, "must be a finite number", id="huge"),
        pytest.param(
            {"data": {"image_size": 60}, "model": {"pool_rounding": "floor"}},
            "image_size is 60; it must be at least 61 if config.model.pool_rounding is floor",
            id="floor",
        ),
        pytest.param(
            {"data": {"image_size": 44}, "model": {"pool_rounding": "floor", "pool4_window": 2}},
            "image_size is 44; it must be at least 45",
            id="floor, smaller window",
        ),
        pytest.param({"model": {"variant": "vgg16", "normalization": "lrn"}}, '"batch"', id="vgg16 lrn"),
    ],
)
def test_a_mistake_is_one_sentence_with_a_way_out(config, words):
    with pytest.raises(UserError, match=words) as caught:
        resolve(config)
    assert "\n" not in str(caught.value)


def test_variants_are_defaults():
    row = resolve({"model": {"variant": "torchvision"}})
    assert (row.model.third_kernel, row.data.mean) == (3, (127.5, 127.5, 127.5))
    changed = resolve({"model": {"variant": "torchvision", "third_kernel": 5}})
    assert (changed.model.third_kernel, changed.model.pool4_window) == (5, 2)


def test_inherited_values_override_the_variant_and_yield_to_the_config():
    inherited = {"model": {"variant": "torchvision", "dropout": 0.1, "aux_heads": 0}}
    config = resolve({"model": {"aux_heads": 1}}, inherited)
    assert (config.model.variant, config.model.third_kernel) == ("torchvision", 3)
    assert (config.model.dropout, config.model.aux_heads) == (0.1, 1)
    other = resolve({"model": {"variant": "bn"}}, inherited)
    assert (other.model.third_kernel, other.model.dropout, other.model.aux_heads) == (5, 0.2, 2)


PATTERNS = {"freeze": ("stem/*",), "rates": (("*head/*", 10.0), ("inception_5*", 2.0))}


@pytest.mark.parametrize(
    ("arguments", "freeze", "rates"),
    [
        pytest.param(["freeze=stem/*"], ("stem/*",), (), id="one, bare"),
        pytest.param(["freeze=('stem/*', 'inception_3*')"], ("stem/*", "inception_3*"), (), id="tuple"),
        pytest.param(['freeze=["stem/*"]'], ("stem/*",), (), id="list"),
        pytest.param(["freeze=()"], (), (), id="none"),
        pytest.param(["rates=(('head/*', 10),)"], (), (("head/*", 10.0),), id="pair"),
        pytest.param(['rates=[["a*", 2], ["b*", 0.5]]'], (), (("a*", 2.0), ("b*", 0.5)), id="lists"),
    ],
)
def test_patterns_come_from_the_command_line(arguments, freeze, rates):
    argv = ["train", *(f"--config.optimizer.{argument}" for argument in arguments)]
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict(
        "config", ConfigDict(resolve({}).to_dict()), flag_values=values, sys_argv=argv
    )
    values(argv)
    optimizer = resolve(values.config).optimizer
    assert (optimizer.freeze, optimizer.rates) == (freeze, rates)


def test_a_single_pattern_needs_no_brackets():
    assert resolve({"optimizer": {"freeze": "stem/*"}}).optimizer.freeze == ("stem/*",)


def test_the_number_of_classes_is_filled_in_if_it_is_0():
    assert with_num_classes(resolve({"model": {"num_classes": 0}}), 7) == resolve(
        {"model": {"num_classes": 7}}
    )
    assert with_num_classes(resolve({}), 7) == resolve({})


def test_a_config_survives_json():
    config = resolve({"data": {"mean": [1, 2, 3], "path": 7}, "optimizer": PATTERNS})
    again = resolve(json.loads(json.dumps(to_json_dict(config))))
    assert again == config
    assert again.data.mean == (1.0, 2.0, 3.0)
    assert again.data.path == "7"
    assert again.optimizer.rates == PATTERNS["rates"]
    assert first_difference(again, config) is None


def test_the_first_difference_skips_operational_keys():
    base = resolve({})
    assert (
        first_difference(base, resolve({"data": {"workers": 3, "path": "x"}, "log_every": "1 step"})) is None
    )
    assert first_difference(base, resolve({"optimizer": {"momentum": 0.5}})) == "optimizer.momentum"


def test_every_default_is_accepted_as_written():
    assert flatten(resolve(DEFAULTS)) == flatten(DEFAULTS)
