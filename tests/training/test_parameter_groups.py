import jax
import jax.numpy as jnp
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.training.parameter_groups import check_patterns, factor, frozen_mask, keep_frozen

PARAMS = {
    "stem": {"conv1": {"conv": {"kernel": jnp.ones(2)}}},
    "head": {"kernel": jnp.ones(3), "bias": jnp.zeros(1)},
}


@pytest.mark.parametrize(
    ("patterns", "frozen"),
    [
        ((), []),
        (("stem/*",), ["stem"]),
        (("*kernel",), ["stem", "kernel"]),
        (("head/?ias", "head/k*"), ["kernel", "bias"]),
        (("HEAD/*", "head", "ead/*"), []),
    ],
)
def test_a_pattern_matches_the_whole_name(patterns, frozen):
    mask = frozen_mask(PARAMS, patterns)
    assert mask["stem"]["conv1"]["conv"]["kernel"] == ("stem" in frozen)
    assert mask["head"] == {"kernel": "kernel" in frozen, "bias": "bias" in frozen}


def test_the_first_rate_that_matches_counts():
    rates = (("head/bias", 20.0), ("head/*", 10.0))
    assert [factor(name, rates) for name in ("head/bias", "head/kernel", "fc/bias")] == [20.0, 10.0, 1.0]


def test_frozen_leaves_are_kept_to_the_sign_of_zero():
    old, new = {"a": jnp.asarray(-0.0), "b": jnp.asarray(1.0)}, {"a": jnp.asarray(0.0), "b": jnp.asarray(2.0)}
    kept = keep_frozen(old, new, ("a",))
    assert bool(jnp.signbit(kept["a"]))
    assert kept["b"] == 2
    assert keep_frozen({}, {}, ("a",)) == {}


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [
        ({"freeze": ("stem/*", "sten/*")}, r'freeze has "sten/\*", .*"stem/conv1/conv/kernel"'),
        ({"freeze": "stem"}, r'freeze has "stem", which matches no parameter'),
        ({"rates": (("had/*", 2.0),)}, r'rates has "had/\*", .*there are "head/.*", .* and 0 others'),
        ({"freeze": "*"}, "leaves nothing to train"),
    ],
)
def test_patterns_that_do_nothing_are_refused(optimizer, words):
    shapes = jax.eval_shape(lambda: PARAMS)
    check_patterns(resolve({"optimizer": {"freeze": "stem/*", "rates": (("*bias", 2.0),)}}).optimizer, shapes)
    with pytest.raises(UserError, match=words):
        check_patterns(resolve({"optimizer": optimizer}).optimizer, shapes)
