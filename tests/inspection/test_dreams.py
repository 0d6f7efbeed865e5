import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.inspection import dreams
from flax_googlenet.inspection.scores import compiled

LEVELS = {"mean": (128, 128, 128), "std": (64, 64, 64)}
DATA = resolve({"data": {"image_size": 32, "resize": 32, **LEVELS}}).data
BOUNDS = (np.full(3, -1, np.float32), np.full(3, 1, np.float32))


def rises(values) -> bool:
    return all(later > earlier for earlier, later in itertools.pairwise(values))


@pytest.mark.parametrize("layer", ["conv2", "inception_3a", "inception_4d"])
@pytest.mark.parametrize("step_size", [0.02, 1.0], ids=["small steps", "steps that overshoot"])
def test_a_dream_raises_its_activation_in_every_step(network, image, layer, step_size):
    dream = dreams.deep_dream(*network, image, DATA, layer, steps=6, step_size=step_size)
    assert len(dream.values) > 3
    assert rises(dream.values)
    assert dream.values[-1] > 1.05 * dream.values[0]
    response, _ = compiled(dreams._response)(*network, dream.image, row=layer)
    assert float(response) == pytest.approx(dream.values[-1], rel=1e-4), "the value is that of the image"


def test_a_dream_stays_in_the_range_of_pixels(network, image):
    low, high = dreams.limits(DATA)
    dream = dreams.deep_dream(*network, 10 * image, DATA, "conv2", steps=4, step_size=2.0)
    assert (dream.image >= low).all()
    assert (dream.image <= high).all()


@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_class_is_drawn_from_the_mean_color(network, label):
    dream = dreams.visualize_class(*network, DATA, label, steps=8)
    assert dream.image.shape == (32, 32, 3)
    assert len(dream.values) > 3
    assert rises(dream.values)
    model, variables = network
    logits = jax.jit(model.apply)(variables, np.stack([0 * dream.image, dream.image]))["logits"]
    assert logits[1, label] > logits[0, label]


def test_the_ascent_halves_its_steps_and_ends_at_the_top():
    """On a paraboloid, whose top is in the range."""
    top = np.full((8, 8, 3), 0.5, np.float32)

    def objective(x):
        return -jnp.square(x - top).sum(), -2 * (x - top)

    start = np.zeros_like(top)
    dream = dreams.ascend(objective, start, BOUNDS, steps=100, step_size=4.0)
    assert rises(dream.values)
    assert len(dream.values) < 100
    np.testing.assert_allclose(dream.image, top, atol=0.02)


def test_the_ascent_ends_where_nothing_rises():
    def flat(x):
        return jnp.zeros(()), jnp.zeros_like(x)

    dream = dreams.ascend(flat, np.zeros((8, 8, 3), np.float32), BOUNDS, steps=5, step_size=1.0)
    assert dream.values == (0.0,)
    assert not dream.image.any()


@pytest.mark.parametrize("shape", [(8, 8, 3), (7, 9, 3)])
def test_smooth_steps_go_uphill(rng, shape):
    gradient = rng.normal(size=shape).astype(np.float32)
    smooth = dreams.smooth(gradient)
    assert (smooth * gradient).sum() > 0
    assert smooth.dtype == gradient.dtype
    roughness = [np.abs(np.diff(array, axis=0)).mean() / array.std() for array in (gradient, smooth)]
    assert roughness[1] < roughness[0]
    constant = np.ones(shape, np.float32)
    np.testing.assert_allclose(dreams.smooth(constant), max(shape) * constant, rtol=1e-5)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_limits_are_black_and_white(order):
    data = resolve({"data": {"mean": (10, 20, 30), "std": (1, 2, 3), "channel_order": order}}).data
    low, high = (limit if order == "rgb" else limit[::-1] for limit in dreams.limits(data))
    np.testing.assert_allclose(low, [-10, -10, -10])
    np.testing.assert_allclose(high, [245, 117.5, 75])


def test_a_layer_to_dream_of(network, image):
    assert dreams.dream_layer(network[0]) == "inception_4d"
    with pytest.raises(UserError, match='no layer "pool1" with feature maps'):
        dreams.deep_dream(*network, image, DATA, "pool1")
