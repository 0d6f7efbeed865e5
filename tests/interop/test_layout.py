import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.errors import UserError
from flax_googlenet.interop import layout
from flax_googlenet.interop.registry import SOURCES
from flax_googlenet.models import GoogLeNet

TORCHVISION, ONNX = SOURCES["torchvision"].naming, SOURCES["onnx"].naming


@pytest.fixture(scope="module")
def shapes():
    model = GoogLeNet(num_classes=7, normalization="batch")
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))


@pytest.fixture(scope="module")
def variables(shapes):
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)


@pytest.mark.parametrize("naming", [pytest.param(row.naming, id=name) for name, row in SOURCES.items()])
def test_conversion_there_and_back_is_exact(naming, variables, shapes):
    tensors = layout.to_tensors(variables, naming)
    assert len(tensors) == len(jax.tree.leaves(variables)), "two arrays have one name"
    assert layout.compare_names(tensors, shapes, naming) == ([], [])
    converted = layout.from_tensors(tensors, shapes, naming, "file")
    jax.tree.map(np.testing.assert_array_equal, converted, variables)


def test_kernels_become_out_in_height_width():
    kernel = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    converted = layout.channels_first(("params", "stem", "conv1", "conv", "kernel"), kernel)
    assert converted.shape == (5, 4, 2, 3)
    assert converted[4, 3, 1, 2] == kernel[1, 2, 3, 4]


def test_the_kernel_of_a_flattened_map_is_permuted(rng):
    """The product is the same, whether channels or height come first in the flattened map."""
    images = rng.normal(size=(2, 4, 4, 128))
    kernel = rng.normal(size=(4 * 4 * 128, 6))
    converted = layout.channels_first(("params", "aux_4a", "fc", "kernel"), kernel)
    flat = images.transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_allclose(flat @ converted.T, images.reshape(2, -1) @ kernel, rtol=1e-12, atol=1e-12)


def test_missing_and_unused_tensors_are_named(variables, shapes):
    tensors = layout.to_tensors(variables, TORCHVISION)
    del tensors["fc.bias"], tensors["conv1.bn.running_var"]
    tensors["fc.scale"] = np.zeros(3)
    missing, unused = layout.compare_names(tensors, shapes, TORCHVISION)
    assert (sorted(missing), unused) == (["conv1.bn.running_var", "fc.bias"], ["fc.scale"])
    kept = layout.from_tensors(tensors, variables, TORCHVISION, "file")
    np.testing.assert_array_equal(kept["params"]["head"]["bias"], variables["params"]["head"]["bias"])


def test_errors_name_a_tensor_of_another_shape(variables, shapes):
    tensors = layout.to_tensors(variables, TORCHVISION)
    tensors["inception3a.branch3.1.conv.weight"] = np.zeros((32, 16, 3, 3))
    words = "branch3.1.conv.weight is 32x16x3x3 in the file and 32x16x5x5 in the network"
    with pytest.raises(UserError, match=rf"weights.pth is of another network: .*{words}"):
        layout.from_tensors(tensors, shapes, TORCHVISION, "weights.pth")


def test_linear_layers_may_have_four_axes_as_in_caffe(variables, shapes):
    tensors = layout.to_tensors(variables, ONNX)
    tensors["loss3/classifier_w_0"] = tensors["loss3/classifier_w_0"][None, None]
    converted = layout.from_tensors(tensors, shapes, ONNX, "file")
    head, expected = converted["params"]["head"], variables["params"]["head"]
    np.testing.assert_array_equal(head["kernel"], expected["kernel"])
