"""Attributions beside the package `saliency` and by brute force; captum is in benchmarks/parity."""

import functools

import jax
import numpy as np
import pytest
import saliency.core as peer

from flax_googlenet.errors import UserError
from flax_googlenet.inspection import attributions, scores
from flax_googlenet.models import VGG16, GoogLeNet
from tests.support.networks import shrink_table

LABEL = 2


@pytest.fixture(scope="module")
def call(network):
    """Our network as the function that `saliency` takes."""

    def call_model(batch, call_model_args=None, expected_keys=None):  # noqa: ARG001
        batch = np.asarray(batch, np.float32)
        if expected_keys == [peer.base.OUTPUT_LAYER_VALUES]:
            return {expected_keys[0]: scores.class_scores(*network, batch, LABEL)}
        if expected_keys == [peer.base.INPUT_OUTPUT_GRADIENTS]:
            return {expected_keys[0]: scores.class_gradients(*network, batch, LABEL)}
        (image,) = batch
        arrays = scores.compiled(attributions._layer_and_gradient)(*network, image, LABEL, row="inception_3a")
        return {key: array[None] for key, array in zip(expected_keys, arrays, strict=True)}

    return call_model


def assert_close(ours, expected):
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_scores_and_gradients_do_not_depend_on_the_batches(network, image):
    model, variables = network
    images = image + np.linspace(-0.5, 0.5, 11, dtype=np.float32).reshape(-1, 1, 1, 1)
    logits = jax.jit(model.apply)(variables, images)["logits"]
    assert_close(scores.class_scores(*network, images, LABEL), np.asarray(logits[:, LABEL]))
    gradients = scores.class_gradients(*network, images, LABEL)
    assert_close(gradients[:8], scores.class_gradients(*network, images[:8], LABEL))
    expected = jax.jit(jax.grad(lambda x: model.apply(variables, x[None])["logits"][0, LABEL]))(images[10])
    assert_close(gradients[10], np.asarray(expected))


def test_saliency(network, image, call):
    ours = attributions.saliency(*network, image, LABEL)
    assert_close(ours, peer.GradientSaliency().GetMask(image, call))


def test_smooth_grad(network, image, call, monkeypatch):
    noise = attributions.gaussian_noise(image, samples=10, spread=0.2)
    draws = iter(noise)
    monkeypatch.setattr(np.random, "normal", lambda *_: next(draws))
    ours = attributions.smooth_grad(*network, image, LABEL, noise)
    expected = peer.GradientSaliency().GetSmoothedMask(image, call, nsamples=10, magnitude=False)
    assert_close(ours, expected)
    assert not np.allclose(ours, attributions.saliency(*network, image, LABEL), atol=1e-3)


def test_noise_has_the_spread_of_the_image_and_its_seed(image):
    noise = attributions.gaussian_noise(image, samples=50, spread=0.2)
    assert noise.dtype == image.dtype
    assert noise.std() == pytest.approx(0.2 * np.ptp(image), rel=0.02)
    np.testing.assert_array_equal(noise, attributions.gaussian_noise(image, samples=50, spread=0.2))
    assert (noise != attributions.gaussian_noise(image, samples=50, spread=0.2, seed=1)).all(-1).mean() > 0.9


def test_integrated_gradients(network, image, call):
    count = 12
    points = (np.linspace(0, 1, count), np.full(count, 1 / count))  # the rule of `saliency`
    baseline = np.full_like(image, 0.3)
    ours = attributions.integrated_gradients(*network, image, LABEL, baseline, points)
    expected = peer.IntegratedGradients().GetMask(
        image, call, x_baseline=baseline, x_steps=count, batch_size=8
    )
    assert_close(ours, expected)


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_integrated_gradients_are_complete(network, image, level):
    baseline = np.full_like(image, level)
    total = attributions.integrated_gradients(*network, image, LABEL, baseline).sum()
    one, other = scores.class_scores(*network, np.stack([image, baseline]), LABEL)
    assert total == pytest.approx(one - other, rel=0.02), "up to the error of 48 points"


def test_occlusion(network, image, call):
    """At stride 1 and without the number of squares that cover a pixel."""
    ours = attributions.occlusion(*network, image, LABEL, window=28, stride=1, fill=0.5)
    sums = peer.Occlusion().GetMask(image, call, size=28, value=0.5)[..., 0]
    reach = np.minimum(np.arange(32) + 1, 5)
    along = np.minimum(reach, reach[::-1])
    assert_close(ours * np.outer(along, along).astype(np.float32), sums)


@pytest.mark.parametrize(("window", "stride"), [(16, 16), (20, 5), (40, 40)])
def test_occlusion_by_brute_force(network, image, window, stride):
    model, variables = network
    total, count = np.zeros((2, 32, 32))
    score = jax.jit(lambda x: model.apply(variables, x[None])["logits"][0, LABEL])
    steps = -(-max(32 - window, 0) // stride) + 1
    for i, j in np.ndindex(steps, steps):
        covered = image.copy()
        square = np.s_[i * stride : i * stride + window, j * stride : j * stride + window]
        covered[square] = 0
        total[square] += float(score(image)) - float(score(covered))
        count[square] += 1
    ours = attributions.occlusion(*network, image, LABEL, window=window, stride=stride)
    assert_close(ours, total / count)


def test_squares_leave_no_pixel_out(network, image):
    with pytest.raises(ValueError, match="the stride is 9; it must be between 1 and the window, 8"):
        attributions.occlusion(*network, image, LABEL, window=8, stride=9)


def test_grad_cam(network, image, call):
    expected = peer.GradCam().GetMask(image, call, should_resize=False, three_dims=False)
    ours = attributions.grad_cam(*network, image, LABEL, "inception_3a")
    assert_close(ours, expected)
    signed = attributions.grad_cam(*network, image, LABEL, "inception_3a", rectify=False)
    assert_close(np.maximum(signed, 0), ours)
    assert signed.min() < 0


def test_the_gradient_of_a_layer_is_its_slope(network, image):
    """The shift that the gradient belongs to is an addition to the layer's output."""
    model, variables = network
    run = scores.compiled(attributions._layer_and_gradient)
    activation, gradient = run(model, variables, image, LABEL, row="inception_4d")
    capture = functools.partial(model.apply, mutable=["intermediates"])
    _, state = jax.jit(capture)(variables, image[None])
    assert_close(np.asarray(activation), np.asarray(state["intermediates"]["inception_4d_output"][0][0]))
    # What follows inception_4d is an average and a linear layer.
    kernel = variables["params"]["head"]["kernel"][:, LABEL] / np.prod(activation.shape[:2])
    assert_close(np.asarray(gradient), np.broadcast_to(kernel, activation.shape))


def test_grad_cam_names_the_layers(network, image):
    with pytest.raises(UserError, match='no layer "inception_3b" with feature maps; did you mean'):
        attributions.grad_cam(*network, image, LABEL, "inception_3b")
    assert attributions.map_layers(network[0])[:3] == ("conv1", "conv2", "inception_3a")


@pytest.mark.parametrize(
    ("model", "size", "layer"),
    [
        (GoogLeNet(), 224, "inception_5b"),
        (GoogLeNet(), 112, "inception_4e"),
        (GoogLeNet(), 56, "inception_3b"),
        (GoogLeNet(table=shrink_table()), 32, "conv2"),
        (VGG16(), 224, "conv5_3"),
        (VGG16(), 32, "conv3_3"),
    ],
)
def test_the_default_layer_has_seven_pixels(model, size, layer):
    assert attributions.default_layer(model, size) == layer
