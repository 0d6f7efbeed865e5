import jax
import jax.numpy as jnp
import pytest

from flax_googlenet.models import AuxiliaryClassifier, Inception
from flax_googlenet.models.layers import LayerOptions
from flax_googlenet.table import TABLE_1, RowKind

ROWS = [pytest.param(row, id=row.name) for row in TABLE_1 if row.kind is RowKind.INCEPTION]


def shapes(module, shape: tuple[int, ...]):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    y, variables = jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x), x)
    return y, variables["params"]


def weights(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim > 1)


def test_worked_example_of_dimension_reduction():
    """The example is 64 filters of 5x5 on 512 channels, directly and after 24 filters of 1x1."""
    _, direct = shapes(Inception(1, 1, 1, 0, 64, 1), (1, 14, 14, 512))
    _, reduced = shapes(Inception(1, 1, 1, 24, 64, 1), (1, 14, 14, 512))
    assert weights(direct["conv5x5"]) == 819_200
    assert weights(reduced["reduce5x5"]) + weights(reduced["conv5x5"]) == 50_688


@pytest.mark.parametrize("row", ROWS)
def test_with_reductions_has_the_depth_of_the_table(row):
    y, params = shapes(Inception(*row.filters), (1, 7, 7, 480))
    assert y.shape == (1, 7, 7, row.output[-1])
    assert set(params) == {"conv1x1", "reduce3x3", "conv3x3", "reduce5x5", "conv5x5", "pool_proj"}


@pytest.mark.parametrize("row", ROWS)
def test_naive_keeps_the_channels_of_the_pooled_input(row):
    conv1x1, _, conv3x3, _, conv5x5, _ = row.filters
    y, params = shapes(Inception(conv1x1, 0, conv3x3, 0, conv5x5, 0), (1, 7, 7, 480))
    assert y.shape == (1, 7, 7, conv1x1 + conv3x3 + conv5x5 + 480)
    assert set(params) == {"conv1x1", "conv3x3", "conv5x5"}


def test_branches_are_concatenated_in_the_order_of_the_figure(rng):
    module = Inception(2, 1, 3, 1, 4, 5)
    x = jnp.asarray(rng.normal(size=(1, 4, 4, 6)), jnp.float32)
    params = module.init(jax.random.key(0), x)["params"]
    slices = {"conv1x1": (0, 2), "conv3x3": (2, 5), "conv5x5": (5, 9), "pool_proj": (9, 14)}
    for branch, (start, stop) in slices.items():
        silenced = {**params, branch: jax.tree.map(jnp.zeros_like, params[branch])}
        y = module.apply({"params": silenced}, x)
        assert not y[..., start:stop].any()
        assert all(y[..., a:b].any() for name, (a, b) in slices.items() if name != branch)


@pytest.mark.parametrize("size", [1, 3, 14, 15])
def test_auxiliary_weights_do_not_depend_on_the_map(size):
    y, params = shapes(AuxiliaryClassifier(10), (2, size, size, 512))
    assert y.shape == (2, 10)
    assert y.dtype == jnp.float32
    assert params["fc"]["kernel"].shape == (4 * 4 * 128, 1024)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda: Inception(1, 1, 1, 1, 1, 1, third_kernel=7),
            "Inception.third_kernel is 7; it must be 5 or 3.",
            id="third_kernel",
        ),
        pytest.param(
            lambda: AuxiliaryClassifier(10, pooling="adaptiv"),
            'AuxiliaryClassifier.pooling is \'adaptiv\'; it must be "paper" or "adaptive"; '
            'did you mean "adaptive"?',
            id="pooling",
        ),
        pytest.param(
            lambda: AuxiliaryClassifier(10, dropout=1.0), "AuxiliaryClassifier.dropout is 1.0;", id="dropout"
        ),
        pytest.param(lambda: AuxiliaryClassifier(0), "AuxiliaryClassifier.num_classes is 0;", id="classes"),
        pytest.param(
            lambda: LayerOptions(padding="SAME"),
            'LayerOptions.padding is \'SAME\'; it must be "symmetric" or "same".',
            id="padding",
        ),
        pytest.param(
            lambda: LayerOptions(batch_norm_epsilon=0.0),
            "LayerOptions.batch_norm_epsilon is 0.0; it must be a finite number above 0, such as",
            id="epsilon",
        ),
    ],
)
def test_invalid_options_are_refused_at_once(make, words):
    with pytest.raises(ValueError, match=r"^\w+\.\w+ is ") as caught:
        make()
    assert words in str(caught.value)
