import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.models import GoogLeNet, googlenet
from flax_googlenet.table import TABLE_1, RowKind, googlenet_rows, least_image_size
from tests.support.networks import AS_WRITTEN


def parameters(model: GoogLeNet, size: int = 224):
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x), x)["params"]


def count(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def without_aux(params):
    return {name: value for name, value in params.items() if not name.startswith("aux")}


@functools.partial(jax.jit, static_argnums=0, static_argnames=("train", "all_heads", "mutable"))
def apply(model: GoogLeNet, variables, x, **options):
    """Run the compiled forward pass, which takes a tenth of the time."""
    return model.apply(variables, x, rngs={"dropout": jax.random.key(0)}, **options)


@pytest.mark.parametrize(
    ("options", "plain", "with_aux"),
    [
        pytest.param({}, 6_998_552, 13_378_280, id="defaults"),
        pytest.param({"normalization": "none"}, 6_998_552, 13_378_280, id="without lrn"),
        pytest.param({"stem_reduce": False}, 6_994_392, 13_374_120, id="without the stem's reduction"),
        pytest.param({"normalization": "batch"}, 7_005_832, None, id="batch normalization"),
        pytest.param({"aux_heads": 0}, 6_998_552, 6_998_552, id="without heads"),
        pytest.param({"aux_heads": 1}, 6_998_552, 10_189_440, id="with the upper head"),
        pytest.param(
            {"aux_heads": 1, "single_aux_head": "aux_4a"}, 6_998_552, 10_187_392, id="with the lower head"
        ),
        pytest.param({"reduce5x5": False}, 17_075_736, None, id="without one reduction"),
        pytest.param({"head": "fully_connected"}, 58_379_800, None, id="fully connected head"),
        pytest.param({"third_kernel": 3}, 6_617_624, None, id="3x3 third branch"),
    ],
)
def test_parameter_counts(options, plain, with_aux):
    params = parameters(GoogLeNet(**options))
    assert count(without_aux(params)) == plain
    assert with_aux is None or count(params) == with_aux


@pytest.mark.parametrize(
    ("options", "heads"),
    [
        ({}, ("aux_4a", "aux_4d")),
        ({"aux_heads": 1}, ("aux_4d",)),
        ({"aux_heads": 1, "single_aux_head": "aux_4d"}, ("aux_4d",)),
        ({"aux_heads": 1, "single_aux_head": "aux_4a"}, ("aux_4a",)),
        ({"aux_heads": 0}, ()),
    ],
)
def test_a_single_auxiliary_head_is_either(options, heads):
    model = GoogLeNet(**options)
    assert model.head_names == ("logits", *heads)
    assert {name for name in parameters(model) if name.startswith("aux")} == set(heads)


def test_auxiliary_parameter_counts():
    params = parameters(GoogLeNet())
    assert (count(params["aux_4a"]), count(params["aux_4d"])) == (3_188_840, 3_190_888)


def test_every_row_has_the_output_of_the_table():
    model = GoogLeNet()
    x = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, mutable=True), x)
    intermediates = dict(variables["intermediates"])
    intermediates.update(intermediates.pop("stem"))
    assert len(intermediates) == len(TABLE_1)
    for row in TABLE_1:
        (output,) = intermediates[f"{row.name}_output"]
        assert output.shape[1:] == row.output[-(output.ndim - 1) :], row.name


def test_parameters_are_named_after_the_paper():
    names = set(parameters(GoogLeNet()))
    modules = {f"inception_{name}" for name in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")}
    assert names == {"stem", "aux_4a", "aux_4d", "head"} | modules


@pytest.mark.parametrize("size", [32, 33, 56, 97, 128])
def test_other_sizes_have_the_same_parameters(size):
    assert jax.tree.map(jnp.shape, parameters(GoogLeNet(), size)) == jax.tree.map(
        jnp.shape, parameters(GoogLeNet())
    )


@pytest.mark.parametrize("shape", [(1, 31, 64, 3), (1, 64, 64, 1), (64, 64, 3)])
def test_images_of_the_wrong_shape_are_refused(shape):
    with pytest.raises(ValueError, match="at least 32x32"):
        GoogLeNet().init(jax.random.key(0), jnp.zeros(shape))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            {"normalization": "bacth"},
            '.normalization is \'bacth\'; it must be "none", "lrn" or "batch"; did you mean "batch"?',
            id="normalization",
        ),
        pytest.param({"head": "fc"}, 'head is \'fc\'; it must be "average" or "fully_connected".', id="head"),
        pytest.param({"aux_heads": 5}, "GoogLeNet.aux_heads is 5; it must be 2, 1 or 0.", id="aux_heads"),
        pytest.param({"single_aux_head": "4a"}, '"aux_4d" or "aux_4a"', id="single_aux_head"),
        pytest.param({"third_kernel": 7}, "third_kernel is 7; it must be 5 or 3.", id="third_kernel"),
        pytest.param({"pool4_window": 1}, "pool4_window is 1; it must be 3 or 2.", id="pool4_window"),
        pytest.param({"conv_padding": "SAME"}, '"symmetric" or "same"', id="conv_padding"),
        pytest.param({"pool_rounding": "round"}, '"ceil" or "floor"', id="pool_rounding"),
        pytest.param({"aux_pooling": "max"}, '"paper" or "adaptive"', id="aux_pooling"),
        pytest.param({"dropout": 1.5}, "GoogLeNet.dropout is 1.5; it must be a number of at", id="dropout"),
        pytest.param({"dropout": float("nan")}, "GoogLeNet.dropout is nan;", id="dropout NaN"),
        pytest.param({"aux_dropout": -0.1}, "aux_dropout is -0.1;", id="aux_dropout"),
        pytest.param({"batch_norm_epsilon": 0.0}, "must be a finite number above 0, such", id="epsilon"),
        pytest.param({"num_classes": 0}, "num_classes is 0; it must be a whole number of at", id="classes"),
    ],
)
def test_invalid_options_are_refused_at_once(options, words):
    with pytest.raises(ValueError, match=r"^GoogLeNet\.") as caught:
        GoogLeNet(**options)
    assert words in str(caught.value)
    with pytest.raises(ValueError, match=r"^GoogLeNet\."):
        GoogLeNet().clone(**options)


def test_a_clone_is_the_same_network():
    model = GoogLeNet(num_classes=5, dropout=0, third_kernel=3)
    assert model.clone() == model
    assert model.clone(name="trunk").third_kernel == 3


@pytest.fixture(scope="module")
def trunk():
    """The rows that change the size of a map, with few filters, which are quick to trace."""
    rows = [row for row in TABLE_1 if row.kind is not RowKind.INCEPTION]
    return tuple(dataclasses.replace(row, filters=(2,) * len(row.filters)) for row in rows)


def sides(model: GoogLeNet, size: int) -> list[int]:
    """Return the sides of all maps on the way to the logits."""
    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, mutable=True), x)
    return [leaf.shape[1] for leaf in jax.tree.leaves(variables["intermediates"]) if leaf.ndim == 4]


@pytest.mark.parametrize(
    ("options", "least"),
    [
        pytest.param({"pool_rounding": "ceil"}, 32, id="ceil"),
        pytest.param({"pool_rounding": "floor"}, 61, id="floor"),
        pytest.param(
            {"pool_rounding": "floor", "conv_padding": "same"}, 61, id="floor, TensorFlow's padding"
        ),
        pytest.param({"pool_rounding": "floor", "pool4_window": 2}, 45, id="floor, smaller window"),
        pytest.param({"pool_rounding": "ceil", "pool4_window": 2}, 32, id="ceil, smaller window"),
        pytest.param({"pool_rounding": "floor", "head": "fully_connected"}, 61, id="floor, fully connected"),
    ],
)
def test_accepted_sizes_leave_a_map_and_refused_ones_would_not(monkeypatch, trunk, options, least):
    model = GoogLeNet(num_classes=2, table=trunk, **options)
    options_of_rows = {**resolve({}).model, **options}
    assert least_image_size(googlenet_rows(TABLE_1, options_of_rows), model.pool_rounding) == least
    for size in range(32, 71):
        config = {"model": options, "data": {"image_size": size}}
        if size >= least:
            assert min(sides(model, size)) > 0
            assert resolve(config).data.image_size == size
            continue
        with pytest.raises(ValueError, match=f"at least {least}x{least} pixels; got"):
            sides(model, size)
        with pytest.raises(UserError, match=f"image_size is {size}; it must be at least {least} if"):
            resolve(config)
        with monkeypatch.context() as unchecked:
            unchecked.setattr(googlenet, "check_image_shape", lambda *_: None)
            assert min(sides(model.clone(head="average"), size)) == 0


@pytest.mark.parametrize(
    ("options", "size"),
    [({"pool_rounding": "floor"}, 61), ({"pool_rounding": "floor", "pool4_window": 2}, 45)],
)
def test_the_least_size_has_finite_logits(trunk, options, size):
    model = GoogLeNet(num_classes=2, table=trunk, **options)
    x = jax.random.normal(jax.random.key(1), (1, size, size, 3))
    logits, _ = jax.jit(model.init_with_output)(jax.random.key(0), x)
    assert np.isfinite(logits["logits"]).all()


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


def test_bfloat16_is_for_activations_only(small, small_table):
    _, variables, x = small
    narrow = GoogLeNet(num_classes=5, table=small_table, dtype=jnp.bfloat16, normalization="none")
    outputs, captured = apply(narrow, variables, x, all_heads=True, mutable=("intermediates",))
    assert {value.dtype for value in outputs.values()} == {jnp.dtype("float32")}
    assert captured["intermediates"]["inception_4a_output"][0].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters(narrow))} == {jnp.dtype("float32")}


def test_batch_normalization_has_statistics_and_no_bias(small_table):
    model = GoogLeNet(num_classes=5, table=small_table, normalization="batch")
    x = jax.random.normal(jax.random.key(1), (4, 64, 64, 3))
    variables = jax.jit(model.init)(jax.random.key(0), x)
    assert set(variables["params"]["stem"]["conv1"]["conv"]) == {"kernel"}
    _, updated = apply(model, variables, x, train=True, mutable=("batch_stats",))
    before = variables["batch_stats"]["stem"]["conv1"]["norm"]["mean"]
    assert not np.allclose(before, updated["batch_stats"]["stem"]["conv1"]["norm"]["mean"])


def test_lrn_changes_pool1_only_with_the_option(small, small_table):
    model, variables, x = small
    with_lrn = GoogLeNet(num_classes=5, table=small_table)
    _, normalized = apply(with_lrn, variables, x * 100, mutable=("intermediates",))
    _, scaled = apply(model, variables, x * 100, mutable=("intermediates",))
    get = lambda captured, name: captured["intermediates"]["stem"][f"{name}_output"][0]  # noqa: E731
    np.testing.assert_array_equal(get(normalized, "conv1"), get(scaled, "conv1"))
    assert (get(normalized, "pool1") <= get(scaled, "pool1")).all()
    assert not np.allclose(get(normalized, "pool1"), get(scaled, "pool1"))


def test_a_thousand_classes_in_bfloat16_do_not_tie(small_table):
    model = GoogLeNet(num_classes=1000, table=small_table, dtype=jnp.bfloat16)
    x = jax.random.normal(jax.random.key(1), (4, 32, 32, 3))
    outputs, _ = jax.jit(model.init_with_output, compiler_options=AS_WRITTEN)(jax.random.key(0), x)
    for name, logits in outputs.items():
        distinct = [len(np.unique(row)) for row in np.asarray(logits)]
        rounded = [len(np.unique(row)) for row in np.asarray(logits.astype(jnp.bfloat16), np.float32)]
        assert max(rounded) < 800, f"{name}: bfloat16 would not tie, so this tests nothing"
        assert (logits.astype(jnp.bfloat16).astype(jnp.float32) != logits).mean() > 0.5, name
        assert min(distinct) > 990, f"{name}: two of a million float32 values may tie, no more"


def test_rematerialization_keeps_parameters_values_and_gradients(small_table):
    x = jax.random.normal(jax.random.key(1), (2, 32, 32, 3))
    kept, recomputed = (
        GoogLeNet(num_classes=4, table=small_table, normalization="batch", remat=remat)
        for remat in (False, True)
    )
    variables = jax.jit(functools.partial(kept.init, train=True))(
        {"params": jax.random.key(0), "dropout": jax.random.key(2)}, x
    )
    again = jax.jit(functools.partial(recomputed.init, train=True))(
        {"params": jax.random.key(0), "dropout": jax.random.key(2)}, x
    )
    jax.tree.map(np.testing.assert_array_equal, variables, again)

    def loss(params, model):
        outputs, updated = apply(
            model, {**variables, "params": params}, x, train=True, mutable=("batch_stats",)
        )
        return sum(jnp.square(logits).mean() for logits in outputs.values()), (outputs, updated)

    compute = jax.value_and_grad(loss, has_aux=True)
    # Batch normalization over few values magnifies the rounding, which differs between the two programs.
    for a, b in zip(
        jax.tree.leaves(compute(variables["params"], kept)),
        jax.tree.leaves(compute(variables["params"], recomputed)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert "remat" in str(jax.make_jaxpr(jax.grad(lambda p: loss(p, recomputed)[0]))(variables["params"]))
