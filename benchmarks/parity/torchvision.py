"""Comparison with torchvision's GoogLeNet: outputs, gradients, statistics and predictions from files."""

import copy
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import PIL.Image
import torch
import torchvision
from flax import linen as nn
from sklearn.datasets import load_sample_images

import flax_googlenet
from benchmarks.parity.comparison import Arrays, Comparison, channels_first, compare
from flax_googlenet.config import resolve
from flax_googlenet.interop import import_weights, layout
from flax_googlenet.interop.torchvision_weights import NAMES
from flax_googlenet.models import AuxiliaryClassifier, Inception, Network, build_model
from flax_googlenet.models.convolution import Convolution
from flax_googlenet.training.losses import head_losses


def torchvision_model(seed: int = 0, **options: Any) -> Any:
    """Return torchvision's network with random weights and random batch statistics.

    With He's initialization, the outputs still depend on the image after 22 layers.
    """
    torch.manual_seed(seed)
    options = {"aux_logits": True, "init_weights": False, "transform_input": True, **options}
    model = torchvision.models.googlenet(weights=None, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
        elif isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    for name, statistics in model.named_buffers():
        if name.endswith("running_mean"):
            statistics.normal_(0, 0.1)
        elif name.endswith("running_var"):
            statistics.uniform_(0.5, 1.5)
    return model


def variables_of(model: torch.nn.Module, ours: Network) -> Any:
    """Return torchvision's weights as variables of our network."""
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(ours.init, jax.random.key(0), x)
    return layout.from_tensors(tensors, shapes, NAMES, "torchvision")


def torchvision_outputs(model: Any, x: torch.Tensor) -> tuple[dict[str, Any], Arrays]:
    """Return the outputs of the three heads, and of every module that has a counterpart in our network."""
    outputs: dict[str, Any] = {}

    def record(name: str) -> Any:
        return lambda _, __, output: outputs.update({name: output.detach().clone()})

    kinds = ("BasicConv2d", "Inception", "InceptionAux", "MaxPool2d")
    hooks = [
        module.register_forward_hook(record(name))
        for name, module in model.named_modules()
        if type(module).__name__ in kinds and not name.endswith("branch4.0")
    ]
    if model.training:
        logits, aux2, aux1 = model(x)
    else:  # in evaluation, the peer does not compute the auxiliary heads
        logits = model(x)
        aux1, aux2 = model.aux1(outputs["inception4a"]), model.aux2(outputs["inception4d"])
    for hook in hooks:
        hook.remove()
    return {"logits": logits, "aux_4a": aux1, "aux_4d": aux2}, outputs


def our_outputs(captured: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return intermediates by torchvision's names, channels first."""
    outputs: dict[str, Any] = {}
    for name, value in captured.items():
        if isinstance(value, Mapping):
            outputs.update(our_outputs(value, (*prefix, name)))
        elif name == "__call__":
            outputs[NAMES.layer(prefix)] = np.moveaxis(np.asarray(value[0]), -1, 1)
        elif name.startswith("pool"):
            outputs[name.replace("pool", "maxpool").removesuffix("_output")] = np.moveaxis(value[0], -1, 1)
    return outputs


def capture(module: nn.Module, method: str) -> bool:
    """Return whether the output of a module is compared."""
    return method == "__call__" and isinstance(module, Convolution | Inception | AuxiliaryClassifier)


def compare_with_torchvision(batch: int = 2, size: int = 224) -> Iterator[Comparison]:
    """Compare every module and the three heads in both modes, gradients and running statistics."""
    peer = torchvision_model(dropout=0.0, dropout_aux=0.0, transform_input=False)
    options = {"variant": "torchvision", "dropout": 0.0, "aux_dropout": 0.0}
    model = build_model(resolve({"model": options}).model)
    variables = variables_of(peer, model)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-2, 2, (batch, size, size, 3)).astype(np.float32)
    labels = rng.integers(0, 1000, batch).astype(np.int32)

    def forward(variables: Any, x: jax.Array, train: bool) -> Any:
        mutable = ["intermediates", "batch_stats"]
        return model.apply(
            variables, x, train=train, all_heads=True, mutable=mutable, capture_intermediates=capture
        )

    for train, mode in ((False, "evaluation"), (True, "training")):
        heads, captured = jax.jit(forward, static_argnums=2)(variables, pixels, train)
        with torch.no_grad():
            peer_heads, expected = torchvision_outputs(
                copy.deepcopy(peer).train(train), channels_first(pixels)
            )
        ours = our_outputs(captured["intermediates"])
        yield compare(f"torchvision, {mode}: the three heads", heads, peer_heads)
        # Statistics of only two images magnify rounding from module to module.
        yield compare(f"torchvision, {mode}: every module", ours, expected, 1e-3 if train else 1e-4)
    # Batch normalization over few values magnifies rounding, and a ReLU that flips changes a
    # gradient, so gradients are compared in float64.
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield from _compare_training(peer.double().train(), model, variables, pixels, labels)


def _compare_training(
    peer: Any, model: Network, variables: Any, pixels: np.ndarray, labels: np.ndarray
) -> Iterator[Comparison]:
    model = model.clone(dtype=jnp.float64)
    variables = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
    pixels = pixels.astype(np.float64)

    def loss_of(params: Any) -> tuple[jax.Array, Any]:
        outputs, updated = model.apply(
            {**variables, "params": params},
            jnp.asarray(pixels),
            train=True,
            mutable=["intermediates", "batch_stats"],
            capture_intermediates=capture,
        )
        loss, _ = head_losses(outputs, jnp.asarray(labels), aux_weight=0.3, label_smoothing=0.0)
        return loss, (outputs, updated)

    gradient_of = jax.jit(jax.value_and_grad(loss_of, has_aux=True))
    (loss, (heads, updated)), gradient = jax.device_get(gradient_of(variables["params"]))
    peer_heads, peer_outputs = torchvision_outputs(peer, channels_first(pixels))
    target = torch.from_numpy(labels).long()
    losses = {name: torch.nn.functional.cross_entropy(head, target) for name, head in peer_heads.items()}
    peer_loss = losses["logits"] + 0.3 * (losses["aux_4a"] + losses["aux_4d"])
    peer_loss.backward()
    expected = {"loss": peer_loss.detach(), **{name: head.detach() for name, head in peer_heads.items()}}
    yield compare(
        "torchvision, training in float64: loss and the three heads", {"loss": loss, **heads}, expected
    )
    outputs = our_outputs(updated["intermediates"])
    yield compare("torchvision, training in float64: every module", outputs, peer_outputs)
    yield compare(
        "torchvision, training in float64: gradients of the loss",
        layout.to_tensors({"params": gradient}, NAMES),
        {name: parameter.grad for name, parameter in peer.named_parameters()},
    )
    before, after = (
        layout.to_tensors({"batch_stats": collections["batch_stats"]}, NAMES)
        for collections in (variables, updated)
    )
    yield compare(
        "torchvision, training in float64: running mean and variance",
        {name: _as_pytorch_runs(name, before[name], after[name], outputs) for name in after},
        {name: buffer for name, buffer in peer.named_buffers() if "running" in name},
    )


def _as_pytorch_runs(name: str, before: np.ndarray, after: np.ndarray, outputs: Arrays) -> np.ndarray:
    """Convert a running variance: PyTorch averages the unbiased estimate, n / (n - 1) times Flax's."""
    if not name.endswith("running_var"):
        return after
    count = outputs[name.removesuffix(".bn.running_var")][:, 0].size
    return 0.9 * before + (after - 0.9 * before) * count / (count - 1)


def compare_predictions(directory: pathlib.Path) -> Iterator[Comparison]:
    """Compare predictions on two photographs, with decoding, resizing and cropping."""
    peer = torchvision_model().eval()
    torch.save(peer.state_dict(), directory / "photograph.pth")
    import_weights("torchvision", str(directory / "photograph.pth"), str(directory / "photograph"))
    files = [pathlib.Path(name) for name in load_sample_images().filenames]
    rows = flax_googlenet.load(directory / "photograph").predict(files)
    ours = {file.name: row for file, row in zip(files, rows, strict=True)}
    transform = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()

    def tensor(file: pathlib.Path) -> torch.Tensor:
        return torch.from_numpy(np.array(PIL.Image.open(file))).permute(2, 0, 1)

    # torchvision resizes Pillow images and tensors differently. We resize as Pillow does.
    for kind, decode, tolerance in (("a Pillow image", PIL.Image.open, 1e-4), ("a tensor", tensor, 0.05)):
        expected = {}
        for file in files:
            with torch.no_grad():
                expected[file.name] = torch.softmax(peer(transform(decode(file))[None])[0], dim=0)
        yield compare(f"predict on a file: torchvision on {kind}", ours, expected, tolerance)
