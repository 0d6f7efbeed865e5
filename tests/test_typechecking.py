"""The shapes and dtypes in signatures are checked while tests run."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from flax_googlenet import ops
from flax_googlenet.models import Inception
from flax_googlenet.models.layers import LayerOptions, linear
from tests.support.typechecking import has_shape


def test_an_operation_refuses_an_array_of_the_wrong_rank():
    with pytest.raises(jaxtyping.TypeCheckError, match="batch height width channels"):
        ops.average_pool_grid(jnp.zeros((4, 4, 3)))


def test_an_operation_refuses_an_array_of_the_wrong_dtype():
    with pytest.raises(jaxtyping.TypeCheckError, match="Float"):
        ops.average_pool_grid(jnp.zeros((1, 4, 4, 3), jnp.int32))


def test_a_compact_method_is_checked_while_it_is_traced():
    module = Inception(1, 1, 1, 1, 1, 1)
    with pytest.raises(jaxtyping.TypeCheckError, match="batch height width channels"):
        jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((4, 4, 3)))


def test_a_result_of_the_wrong_shape_is_refused(monkeypatch):
    monkeypatch.setattr("flax.linen.Dense.__call__", lambda *_: jnp.zeros((2, 3)))
    with pytest.raises(jaxtyping.TypeCheckError, match="num_classes"):
        linear(jnp.zeros((2, 8)), 5, LayerOptions(), name="head")


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (jaxtyping.Float[jax.Array, "batch"], True),
        (dict[str, jaxtyping.UInt8[np.ndarray, "height width 3"]], True),
        (jaxtyping.PRNGKeyArray | None, True),
        (jax.Array, False),
        (float, False),
    ],
)
def test_only_shapes_are_checked(hint, expected):
    assert has_shape(hint) == expected
