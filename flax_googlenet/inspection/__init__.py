"""What a network has learned and what it looks at: filters, activations, attributions, dreams."""

from flax_googlenet.inspection.attributions import (
    default_layer,
    gauss_legendre,
    gaussian_noise,
    grad_cam,
    integrated_gradients,
    occlusion,
    saliency,
    smooth_grad,
)

__all__ = [
    "default_layer",
    "gauss_legendre",
    "gaussian_noise",
    "grad_cam",
    "integrated_gradients",
    "occlusion",
    "saliency",
    "smooth_grad",
]
