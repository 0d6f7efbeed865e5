"""What a network has learned and what it looks at: filters, activations, attributions, dreams.

The drawing, in `panels`, `sheets` and `inspect`, imports matplotlib and is not imported here.
"""

from flax_googlenet.inspection.activations import branch_maps, first_filters
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
from flax_googlenet.inspection.dreams import Dream, deep_dream, visualize_class
from flax_googlenet.inspection.neighbors import Neighbor, nearest, nearest_training_images

__all__ = [
    "Dream",
    "Neighbor",
    "branch_maps",
    "deep_dream",
    "default_layer",
    "first_filters",
    "gauss_legendre",
    "gaussian_noise",
    "grad_cam",
    "integrated_gradients",
    "nearest",
    "nearest_training_images",
    "occlusion",
    "saliency",
    "smooth_grad",
    "visualize_class",
]
