import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import Example, augmentation
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training.averaging import average, make_statistics

BATCH = 16


class OneBatch:
    """A source of one batch of images: every batch has the same images, in another order."""

    class_names = tuple("abcd")
    digest = "sixteen"

    def __init__(self):
        rng = np.random.default_rng(0)
        self.images = rng.integers(0, 256, (BATCH, 32, 32, 3), dtype=np.uint8)
        self.encoded = [cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in self.images]

    def __len__(self):
        return BATCH

    def __getitem__(self, index):
        return Example(self.encoded[index], index % 4, str(index))


def measure(small_table, devices=1, **sections):
    """Measure the statistics of random weights; return them with all that is needed to check them."""
    plain = {"image_size": 32, "resize": 32, "train_crop": "center", "mirror": False, "workers": 1}
    config = resolve({"batch_size": BATCH, "data": plain, "model": {"num_classes": 4}, **sections})
    model = GoogLeNet(num_classes=4, table=small_table, normalization="batch", dropout=0.0, aux_dropout=0.0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    rng = np.random.default_rng(1)
    drawn = jax.tree.map(lambda x: jnp.asarray(rng.uniform(-0.3, 0.5, x.shape), x.dtype), shapes)
    running = jax.tree.map(jnp.abs, drawn["batch_stats"])
    source = OneBatch()
    statistics = make_statistics(config, model, source, data_mesh(jax.devices()[:devices]))
    measured = jax.device_get(statistics(drawn["params"], running))
    images = augmentation.normalize(jnp.asarray(source.images), config.data)
    return model, drawn["params"], running, measured, images


def test_evaluation_with_measured_statistics_equals_training_on_the_batch(small_table):
    model, params, running, measured, images = measure(small_table)
    assert jax.tree.structure(measured) == jax.tree.structure(running)
    variables = {"params": params, "batch_stats": measured}
    evaluated = jax.jit(lambda v, x: model.apply(v, x, all_heads=True))(variables, images)
    trained, _ = jax.jit(lambda v, x: model.apply(v, x, train=True, mutable=["batch_stats"]))(
        {"params": params, "batch_stats": running}, images
    )
    for head, logits in trained.items():
        np.testing.assert_allclose(evaluated[head], logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("options", [{"devices": 8}, {"optimizer": {"accumulate": 2}}], ids=str)
def test_statistics_hardly_depend_on_devices_and_accumulation(small_table, options):
    *_, expected, _ = measure(small_table)
    *_, found, _ = measure(small_table, **options)
    # The variances of half a batch differ from those of the whole.
    rtol, atol = (1e-3, 1e-5) if "devices" in options else (0.3, 0.1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), found, expected)


def test_frozen_normalizations_keep_their_running_statistics(small_table):
    freeze = ("stem/*", "inception_3a/*", "aux_4a/conv/norm/scale")
    _, _, running, measured, _ = measure(small_table, optimizer={"freeze": freeze})
    for path, value in jax.tree_util.tree_leaves_with_path(measured):
        name = "/".join(part.key for part in path)
        before = running
        for part in path:
            before = before[part.key]
        is_frozen = name.startswith(("stem/", "inception_3a/"))
        assert (value.tobytes() == np.asarray(before).tobytes()) == is_frozen, name


@pytest.mark.parametrize(
    ("kind", "closed_form"),
    [
        pytest.param("polyak", lambda values: np.mean(values), id="uniform"),
        pytest.param("none", lambda values: 0.0, id="off"),  # noqa: ARG005
    ],
)
def test_average_closed_forms(kind, closed_form):
    averaging = resolve({"averaging": {"kind": kind, "decay": 0.9}}).averaging
    values, a = [3.0, 5.0, 10.0, -2.0], jnp.zeros(())
    for age, value in enumerate(values):
        a = average(averaging, a, jnp.asarray(value), jnp.asarray(age))
    np.testing.assert_allclose(a, closed_form(values), rtol=1e-6)


def test_ema_forgets_its_start_and_follows_before_it():
    averaging = resolve({"averaging": {"kind": "ema", "decay": 0.9}}).averaging
    follow = average(averaging, jnp.zeros(()), jnp.asarray(7.0), jnp.asarray(-3))
    assert follow == 7
    a = jnp.asarray(0.0)
    for age in range(300):
        a = average(averaging, a, jnp.asarray(5.0), jnp.asarray(age))
    np.testing.assert_allclose(a, 5.0, rtol=1e-6)
    assert average(averaging, a, jnp.asarray(15.0), jnp.asarray(300)) == pytest.approx(6.0)
