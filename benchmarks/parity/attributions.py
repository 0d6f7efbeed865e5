"""Attributions of torchvision's GoogLeNet: ours against captum's, on the same weights."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import captum.attr
import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.parity.comparison import Comparison, channels_first, compare
from benchmarks.parity.torchvision import torchvision_model, variables_of
from flax_googlenet import inspection
from flax_googlenet.config import resolve
from flax_googlenet.models import build_model

LABEL = 3
LAYERS = {"inception_3a": "inception3a", "inception_4e": "inception4e", "inception_5b": "inception5b"}


def compare_attributions(size: int = 64, points: int = 8) -> Iterator[Comparison]:
    """Compare the raw maps of every method, in float64, since a ReLU that flips changes a gradient."""
    peer = torchvision_model(transform_input=False, num_classes=10).eval()
    model = build_model(resolve({"model": {"variant": "torchvision", "num_classes": 10}}).model)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables_of(peer, model))
    image = np.random.default_rng(0).uniform(-2, 2, (size, size, 3))
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield from _compare(peer.double(), (model.clone(dtype=jnp.float64), variables), image, points)


def _compare(peer: Any, network: tuple[Any, Any], image: np.ndarray, points: int) -> Iterator[Comparison]:
    x = channels_first(image[None])

    def check(name: str, ours: np.ndarray, expected: torch.Tensor) -> Comparison:
        last = expected[0].detach().permute(1, 2, 0).numpy()
        return compare(f"captum's {name}", {"map": ours}, {"map": last if ours.ndim == 3 else last[..., 0]})

    ours = {name: inspection.grad_cam(*network, image, LABEL, name, rectify=False) for name in LAYERS}
    expected = {
        name: captum.attr.LayerGradCam(peer, getattr(peer, layer)).attribute(x, LABEL)[0, 0].detach()
        for name, layer in LAYERS.items()
    }
    yield compare("captum's LayerGradCam: three layers", ours, expected)
    saliency = captum.attr.Saliency(peer)
    yield check(
        "Saliency",
        inspection.saliency(*network, image, LABEL),
        saliency.attribute(x.requires_grad_(), LABEL, abs=False),
    )
    yield check(
        "IntegratedGradients",
        inspection.integrated_gradients(*network, image, LABEL, quadrature=inspection.gauss_legendre(points)),
        captum.attr.IntegratedGradients(peer).attribute(x, target=LABEL, n_steps=points),
    )
    noise = inspection.gaussian_noise(image, samples=points)
    with mock.patch.object(torch, "normal", return_value=channels_first(noise)):
        smooth = captum.attr.NoiseTunnel(saliency).attribute(x, nt_samples=points, target=LABEL, abs=False)
    yield check("NoiseTunnel of Saliency", inspection.smooth_grad(*network, image, LABEL, noise), smooth)
    yield check(
        "Occlusion",
        inspection.occlusion(*network, image, LABEL, window=24, stride=16),
        captum.attr.Occlusion(peer).attribute(
            x.detach(), (3, 24, 24), strides=(3, 16, 16), target=LABEL, perturbations_per_eval=8
        ),
    )
