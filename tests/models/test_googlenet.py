import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.models import GoogLeNet
from flax_googlenet.models.googlenet import TABLE_1


def parameters(model: GoogLeNet, size: int = 224):
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x), x)["params"]


def count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def without_aux(params):
    return {name: value for name, value in params.items() if not name.startswith("aux")}


@functools.partial(jax.jit, static_argnums=0, static_argnames=("train", "all_heads", "mutable"))
def apply(model: GoogLeNet, variables, x, **options):
    """The forward pass, compiled: op by op it takes ten times as long."""
    return model.apply(variables, x, rngs={"dropout": jax.random.key(0)}, **options)


@pytest.mark.parametrize(
    ("options", "plain", "with_aux"),
    [
        pytest.param({}, 6_998_552, 13_378_280, id="the table as it stands"),
        pytest.param({"normalization": "none"}, 6_998_552, 13_378_280, id="without lrn"),
        pytest.param({"stem_reduce": False}, 6_994_392, 13_374_120, id="without the stem's reduction"),
        pytest.param({"normalization": "batch"}, 7_005_832, None, id="batch normalisation"),
        pytest.param({"aux_heads": 0}, 6_998_552, 6_998_552, id="without heads"),
        pytest.param({"aux_heads": 1}, 6_998_552, 10_189_440, id="with the upper head"),
        pytest.param({"reduce5x5": False}, 17_075_736, None, id="without one reduction"),
        pytest.param({"head": "fully_connected"}, 58_379_800, None, id="fully connected head"),
        pytest.param({"third_kernel": 3}, 6_617_624, None, id="3x3 third branch"),
    ],
)
def test_parameter_counts(options, plain, with_aux):
    params = parameters(GoogLeNet(**options))
    assert count(without_aux(params)) == plain
    assert with_aux is None or count(params) == with_aux


def test_auxiliary_parameter_counts():
    params = parameters(GoogLeNet())
    assert (count(params["aux_4a"]), count(params["aux_4d"])) == (3_188_840, 3_190_888)


def test_every_row_has_the_tables_output():
    model = GoogLeNet()
    x = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, mutable=True), x)
    found = dict(variables["intermediates"])
    found.update(found.pop("stem"))
    assert len(found) == len(TABLE_1)
    for row in TABLE_1:
        (output,) = found[f"{row.name}_output"]
        assert output.shape[1:] == row.output[-(output.ndim - 1) :], row.name


def test_parameters_are_named_after_the_paper():
    names = set(parameters(GoogLeNet()))
    modules = {f"inception_{each}" for each in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")}
    assert names == {"stem", "aux_4a", "aux_4d", "head"} | modules


@pytest.mark.parametrize("size", [32, 33, 56, 97, 128])
def test_other_sizes_have_the_same_parameters(size):
    assert jax.tree.map(jnp.shape, parameters(GoogLeNet(), size)) == jax.tree.map(
        jnp.shape, parameters(GoogLeNet())
    )


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (1, 64, 64, 1), (64, 64, 3)])
def test_unusable_images_are_refused(shape):
    with pytest.raises(ValueError, match="at least 32x32"):
        GoogLeNet().init(jax.random.key(0), jnp.zeros(shape))


@pytest.fixture(scope="module")
def small(small_table):
    he = jax.nn.initializers.he_normal()
    model = GoogLeNet(num_classes=5, table=small_table, kernel_init=he, normalization="none")
    x = jax.random.normal(jax.random.key(1), (2, 64, 64, 3))
    return model, jax.jit(model.init)(jax.random.key(0), x), x


def test_heads_are_absent_at_inference_and_named_in_training(small):
    model, variables, x = small
    assert set(apply(model, variables, x)) == {"logits"}
    training = apply(model, variables, x, train=True)
    assert set(training) == set(model.head_names) == {"logits", "aux_4a", "aux_4d"}
    assert set(apply(model, variables, x, all_heads=True)) == set(training)
    unused = {**variables, "params": without_aux(variables["params"])}
    np.testing.assert_array_equal(apply(model, unused, x)["logits"], apply(model, variables, x)["logits"])


@pytest.mark.parametrize("head", ["aux_4a", "aux_4d"])
def test_auxiliary_gradients_reach_the_trunk(small, head):
    model, variables, x = small

    def loss(params):
        outputs = model.apply({"params": params}, x, train=True, rngs={"dropout": jax.random.key(0)})
        return jnp.square(outputs[head]).sum()

    gradient = jax.jit(jax.grad(loss))(variables["params"])
    assert np.abs(gradient["stem"]["conv1"]["conv"]["kernel"]).max() > 0
    assert np.abs(gradient["inception_4a"]["conv1x1"]["conv"]["kernel"]).max() > 0
    assert not np.abs(gradient["head"]["kernel"]).any()
    reaches_4d = np.abs(gradient["inception_4d"]["conv1x1"]["conv"]["kernel"]).max() > 0
    assert reaches_4d == (head == "aux_4d")


def test_bfloat16_computes_narrow_and_answers_wide(small, small_table):
    _, variables, x = small
    narrow = GoogLeNet(num_classes=5, table=small_table, dtype=jnp.bfloat16, normalization="none")
    outputs, captured = apply(narrow, variables, x, all_heads=True, mutable=("intermediates",))
    assert {value.dtype for value in outputs.values()} == {jnp.dtype("float32")}
    assert captured["intermediates"]["inception_4a_output"][0].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters(narrow))} == {jnp.dtype("float32")}


def test_batch_normalisation_has_statistics_and_no_bias(small_table):
    model = GoogLeNet(num_classes=5, table=small_table, normalization="batch")
    x = jax.random.normal(jax.random.key(1), (4, 64, 64, 3))
    variables = jax.jit(model.init)(jax.random.key(0), x)
    assert set(variables["params"]["stem"]["conv1"]["conv"]) == {"kernel"}
    _, updated = apply(model, variables, x, train=True, mutable=("batch_stats",))
    before = variables["batch_stats"]["stem"]["conv1"]["norm"]["mean"]
    assert not np.allclose(before, updated["batch_stats"]["stem"]["conv1"]["norm"]["mean"])


def test_lrn_changes_the_stem_only_where_asked(small, small_table):
    model, variables, x = small
    with_lrn = GoogLeNet(num_classes=5, table=small_table)
    _, normalised = apply(with_lrn, variables, x * 100, mutable=("intermediates",))
    _, scaled = apply(model, variables, x * 100, mutable=("intermediates",))
    get = lambda captured, name: captured["intermediates"]["stem"][f"{name}_output"][0]  # noqa: E731
    np.testing.assert_array_equal(get(normalised, "conv1"), get(scaled, "conv1"))
    assert (get(normalised, "pool1") <= get(scaled, "pool1")).all()
    assert not np.allclose(get(normalised, "pool1"), get(scaled, "pool1"))
