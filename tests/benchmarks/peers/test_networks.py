import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from benchmarks.peers.options import TORCH_MODES, pixels_of
from benchmarks.peers.torch_networks import NETWORKS, heads, network, normalization
from benchmarks.random_weights import random_variables
from benchmarks.train_step.jax_step import training_flop
from flax_googlenet.config import resolve
from flax_googlenet.data import augmentation
from flax_googlenet.interop import layout
from flax_googlenet.interop.torchvision_weights import NAMES
from flax_googlenet.models import build_model

# torchvision's convolutions have no biases, so its names lack theirs.
WITH_BIASES = dataclasses.replace(NAMES, leaves={**NAMES.leaves, ("conv", "bias"): ".conv.bias"})


@pytest.mark.parametrize(
    ("variant", "count"),
    [("paper", 13_378_280), ("bvlc", 13_378_280), ("torchvision", 13_004_888), ("vgg16", 138_357_544)],
)
def test_number_of_parameters(variant, count):
    with torch.device("meta"):
        peer = NETWORKS[variant]()
    assert sum(parameter.numel() for parameter in peer.parameters()) == count


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "bvlc"])
def test_the_network_of_the_paper_computes_what_ours_does(variant, rng):
    config = resolve({"model": {"variant": variant}})
    model = build_model(config.model)
    variables = random_variables(model, 224)
    peer = network(variant, torch.device("cpu")).train()
    for module in peer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    tensors = layout.to_tensors(variables, WITH_BIASES)
    peer.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in tensors.items()})
    images = rng.integers(0, 256, (1, 224, 224, 3), dtype=np.uint8)
    pixels = 10 * np.asarray(augmentation.normalize(jnp.asarray(images), config.data))  # for LRN to matter
    ours = model.apply(variables, jnp.asarray(pixels), all_heads=True)
    with torch.no_grad():
        logits, aux_4d, aux_4a = peer(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    for name, expected in {"logits": logits, "aux_4a": aux_4a, "aux_4d": aux_4d}.items():
        scale = float(expected.abs().max())
        np.testing.assert_allclose(ours[name], expected.numpy(), atol=1e-4 * scale, rtol=0, err_msg=name)


@pytest.mark.parametrize("variant", NETWORKS)
def test_images_are_normalized_as_ours(variant, rng):
    config = resolve({"model": {"variant": variant}})
    images = rng.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    normalize = normalization(**pixels_of(config), device=torch.device("cpu"))
    normalized = normalize(torch.from_numpy(images))
    assert normalized.is_contiguous(memory_format=torch.channels_last)
    expected = augmentation.normalize(jnp.asarray(images), config.data)
    np.testing.assert_allclose(normalized.permute(0, 2, 3, 1), expected, rtol=1e-6, atol=1e-6)


def test_heads_are_the_main_one_and_the_auxiliary_ones():
    main, lower, upper = (torch.tensor([value]) for value in (1.0, 2.0, 3.0))
    with torch.device("meta"):
        outputs = NETWORKS["torchvision"]().train().eager_outputs(main, upper, lower)
    assert heads(outputs) == [main, lower, upper]
    assert heads(main) == [main]


def test_every_mode_of_torch_compile_exists():
    assert {mode for mode in TORCH_MODES.values() if mode} <= {
        "default",
        *torch._inductor.list_mode_options(),
    }


def test_flop_of_training():
    """VGG-16 has 15,470,264,320 multiply-adds, of which conv1_1 has 86,704,128."""
    model = build_model(resolve({"model": {"variant": "vgg16"}}).model)
    with jax.numpy_dtype_promotion("standard"):
        assert training_flop(model, 224) == 2 * (3 * 15_470_264_320 - 86_704_128)
