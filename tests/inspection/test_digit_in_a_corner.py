"""A small network, trained to tell 0, 1 and an empty canvas apart, looks at the corner that has the digit."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flax_googlenet.data.images.decoding import decode
from flax_googlenet.data.sources.mnist_sample import MnistSample
from flax_googlenet.inspection import grad_cam, integrated_gradients, occlusion
from flax_googlenet.models import GoogLeNet

pytestmark = pytest.mark.slow

SIZE, DIGIT, EMPTY, STEPS = 64, 28, 2, 120
CORNERS = {"upper left": (0, 0), "upper right": (0, 36), "lower left": (36, 0), "lower right": (36, 36)}


@functools.cache
def digits(label: int) -> list[np.ndarray]:
    source = MnistSample("train")
    chosen = [example for example in map(source.__getitem__, range(len(source))) if example.label == label]
    return [decode(example.encoded, example.name) for example in chosen]


def canvas(label: int, index: int, place: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return a normalized canvas with noise, and a digit at a place unless it is to be empty."""
    image = rng.uniform(0, 0.2, (SIZE, SIZE, 3)).astype(np.float32)
    if label != EMPTY:
        top, left = place
        image[top : top + DIGIT, left : left + DIGIT] += digits(label)[index].astype(np.float32) / 128
    return image


@pytest.fixture(scope="module")
def trained(small_table):
    model = GoogLeNet(num_classes=3, normalization="batch", aux_heads=0, dropout=0.0, table=small_table)
    rng = np.random.default_rng(0)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))
    params, statistics = variables["params"], variables["batch_stats"]
    optimizer = optax.adam(3e-3)

    @jax.jit
    def step(params, statistics, state, images, labels):
        def loss_of(params):
            outputs, updated = model.apply(
                {"params": params, "batch_stats": statistics}, images, train=True, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(outputs["logits"], labels)
            return losses.mean(), updated["batch_stats"]

        (loss, statistics), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
        changes, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, changes), statistics, state, loss

    state = optimizer.init(params)
    for _ in range(STEPS):
        labels = rng.integers(0, 3, 24).astype(np.int32)
        places = rng.integers(0, SIZE - DIGIT + 1, (24, 2))
        indices = rng.integers(0, 350, 24)
        images = np.stack([canvas(*row, rng) for row in zip(labels, indices, places, strict=True)])
        with jax.numpy_dtype_promotion("standard"):  # Adam's corrections mix integers and floats
            params, statistics, state, loss = step(params, statistics, state, images, labels)
    assert loss < 0.3
    return model, {"params": params, "batch_stats": statistics}


@pytest.fixture(scope="module")
def held_out():
    """Canvases with digits that were not trained on, by corner."""
    rng = np.random.default_rng(1)
    return {
        name: [(label, canvas(label, 350 + index, place, rng)) for index in range(4) for label in (0, 1)]
        for name, place in CORNERS.items()
    }


def share_in_corner(evidence: np.ndarray, corner: str) -> float:
    """Return the share of a map's positive values that lies in a quarter of the map."""
    positive = np.maximum(evidence, 0)
    half = len(evidence) // 2
    vertical, horizontal = corner.split()
    rows = slice(None, half) if vertical == "upper" else slice(half, None)
    columns = slice(None, half) if horizontal == "left" else slice(half, None)
    return float(positive[rows, columns].sum() / max(positive.sum(), 1e-9))


METHODS = {
    "grad_cam": functools.partial(grad_cam, layer="inception_3a"),
    "integrated_gradients": lambda *arguments: integrated_gradients(*arguments).sum(axis=-1),
    "occlusion": functools.partial(occlusion, window=16, stride=8),
}


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize("method", METHODS)
def test_the_mass_falls_on_the_digit(trained, held_out, method, corner):
    shares = [
        share_in_corner(METHODS[method](*trained, image, label), corner) for label, image in held_out[corner]
    ]
    assert np.mean(shares) > 0.6, "of a quarter of the image"
