import functools

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.inspection import activations
from flax_googlenet.models import VGG16, GoogLeNet
from flax_googlenet.models.convolution import Convolution
from tests.support.networks import random_variables


@pytest.fixture(scope="module")
def captured(network, image):
    """Outputs of the convolutions, by path."""
    model, variables = network

    def is_convolution(module, _):
        return isinstance(module, Convolution)

    run = functools.partial(model.apply, mutable=["intermediates"], capture_intermediates=is_convolution)
    _, state = jax.jit(run)(variables, image[None])
    return flatten_dict(state["intermediates"], sep="/")


def test_the_branches_are_the_outputs_of_their_convolutions(network, image, captured):
    maps = activations.branch_maps(*network, image)
    assert list(maps) == ["inception_3a", "inception_4a", "inception_4d"]
    layers = ("conv1x1", "conv3x3", "conv5x5", "pool_proj")
    for module, branches in maps.items():
        assert list(branches) == ["1x1", "3x3", "5x5", "pooling"]
        for branch, layer in zip(branches.values(), layers, strict=True):
            expected = captured[f"{module}/{layer}/__call__"][0][0]
            np.testing.assert_allclose(branch, expected, rtol=1e-4, atol=1e-4)


def test_the_pooling_of_a_naive_module_keeps_the_channels(small_table, image):
    model = GoogLeNet(
        num_classes=2, reduce3x3=False, reduce5x5=False, project_pool=False, aux_heads=0, table=small_table
    )
    maps = activations.branch_maps(model, random_variables(model), image)
    channels = [branch.shape[-1] for branch in maps["inception_3a"].values()]
    assert channels == [4, 8, 2, 12], "as many as the module's input has"


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_first_filters_have_red_first(network, order):
    model, variables = network
    data = resolve({"data": {"channel_order": order}}).data
    filters = activations.first_filters(model, variables, data)
    kernel = variables["params"]["stem"]["conv1"]["conv"]["kernel"]
    assert filters.shape == (4, 7, 7, 3)
    red = 0 if order == "rgb" else 2
    np.testing.assert_array_equal(filters[1, :, :, 0], kernel[:, :, red, 1])


def test_vgg16_has_filters_and_no_branches(image):
    model = VGG16(num_classes=2)
    kernel = np.zeros((3, 3, 3, 64), np.float32)
    variables = {"params": {"conv1_1": {"conv": {"kernel": kernel}}}}
    assert activations.first_filters(model, variables, resolve({}).data).shape == (64, 3, 3, 3)
    with pytest.raises(UserError, match="The network has no Inception modules"):
        activations.branch_maps(model, variables, image)
