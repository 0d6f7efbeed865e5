"""How close our networks are to those of others, layer by layer.

  python -m benchmarks.parity
  python -m benchmarks.parity --out=docs/parity.md

Each row compares arrays with a peer's, run here on the same weights and inputs. The error is the
largest difference, as a share of the largest value in the peer's array; "worst" names the array.
"""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import PIL.Image
import torch
import torchvision
from absl import flags
from flax import linen as nn
from sklearn.datasets import load_sample_images

import flax_googlenet
from flax_googlenet import checkpoints, ops
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.models import AuxiliaryClassifier, Inception, Network, build_model
from flax_googlenet.models.inception import Convolution
from flax_googlenet.pretrained import export, import_weights, layout
from flax_googlenet.pretrained import onnx as zoo
from flax_googlenet.pretrained import torchvision as peer_names
from flax_googlenet.pretrained.exporting import inference
from flax_googlenet.training.losses import head_losses
from launch import command

Arrays = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Arrays of ours against a peer's.

    Attributes:
      what: was compared with what.
      errors: of each array, by the peer's name.
      tolerance: the largest error that is taken for rounding.
    """

    what: str
    errors: Mapping[str, float]
    tolerance: float = 1e-4

    @property
    def worst(self) -> str:
        """Name of the array with the largest error."""
        return max(self.errors, key=lambda name: self.errors[name])


def relative_error(ours: Any, theirs: Any) -> float:
    """Largest difference, as a share of the largest absolute value of `theirs`."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape:
        raise ValueError(f"shapes differ: {ours.shape} and {theirs.shape}")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), np.finfo(np.float32).tiny))


def compare(what: str, ours: Arrays, theirs: Arrays, tolerance: float = 1e-4) -> Comparison:
    """Compare arrays of the same names; that the names are the same is part of it."""
    if ours.keys() != theirs.keys():
        raise ValueError(f"names differ: {sorted(ours.keys() ^ theirs.keys())}")
    return Comparison(what, {name: relative_error(ours[name], theirs[name]) for name in theirs}, tolerance)


# --- torchvision


def torchvision_model(seed: int = 0, **options: Any) -> torch.nn.Module:
    """Torchvision's network with random weights and random batch-norm statistics.

    He's variances, so that what the image is still matters after 22 layers.
    """
    torch.manual_seed(seed)
    options = {"aux_logits": True, "init_weights": False, "transform_input": True, **options}
    model: torch.nn.Module = torchvision.models.googlenet(weights=None, **options)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.1)
        elif isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return model


def variables_of(model: torch.nn.Module, ours: Network) -> Any:
    """Torchvision's weights in our places."""
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    x = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(ours.init, jax.random.key(0), x)
    return layout.convert(tensors, shapes, peer_names.name_of, "torchvision")


def torchvision_outputs(model: torch.nn.Module, x: torch.Tensor) -> tuple[dict[str, Any], Arrays]:
    """The three heads, and the output of every module that has a counterpart here."""
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
    else:  # outside of training it does not ask the auxiliary heads
        logits = model(x)
        aux1, aux2 = model.aux1(outputs["inception4a"]), model.aux2(outputs["inception4d"])
    for hook in hooks:
        hook.remove()
    return {"logits": logits, "aux_4a": aux1, "aux_4d": aux2}, outputs


def our_outputs(captured: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    """Intermediates by torchvision's names, channels first."""
    found: dict[str, Any] = {}
    for name, value in captured.items():
        if isinstance(value, Mapping):
            found.update(our_outputs(value, (*prefix, name)))
        elif name == "__call__":
            found[peer_names.layer_name(prefix)] = np.moveaxis(np.asarray(value[0]), -1, 1)
        elif name.startswith("pool"):
            found[name.replace("pool", "maxpool").removesuffix("_output")] = np.moveaxis(value[0], -1, 1)
    return found


def capture(module: nn.Module, method: str) -> bool:
    """Which modules' outputs are compared."""
    return method == "__call__" and isinstance(module, Convolution | Inception | AuxiliaryClassifier)


def against_torchvision(batch: int = 2, size: int = 224) -> Iterator[Comparison]:
    """Evaluation and training: every module, the three heads, gradients, running statistics."""
    peer = torchvision_model(dropout=0.0, dropout_aux=0.0, transform_input=False)
    options = {"variant": "torchvision", "dropout": 0.0, "aux_dropout": 0.0}
    model = build_model(resolve({"model": options}).model)
    variables = variables_of(peer, model)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-2, 2, (batch, size, size, 3)).astype(np.float32)
    labels = rng.integers(0, 1000, batch).astype(np.int32)

    def evaluate(variables: Any, x: jax.Array) -> Any:
        return model.apply(
            variables, x, all_heads=True, mutable=["intermediates"], capture_intermediates=capture
        )

    heads, captured = jax.jit(evaluate)(variables, pixels)
    with torch.no_grad():
        their_heads, their_outputs = torchvision_outputs(peer.eval(), channels_first(pixels))
    yield compare("torchvision, evaluation: the three heads", heads, their_heads)
    yield compare(
        "torchvision, evaluation: every module", our_outputs(captured["intermediates"]), their_outputs
    )
    # Batch normalisation over few values magnifies rounding, and every ReLU near 0 that it
    # turns over changes a gradient: what float32 leaves of them says nothing. So, float64.
    with jax.enable_x64(True):
        yield from _training_against_torchvision(peer.double().train(), model, variables, pixels, labels)


def _training_against_torchvision(
    peer: torch.nn.Module, model: Network, variables: Any, pixels: np.ndarray, labels: np.ndarray
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
    their_heads, their_outputs = torchvision_outputs(peer, channels_first(pixels))
    target = torch.from_numpy(labels).long()
    losses = {name: torch.nn.functional.cross_entropy(each, target) for name, each in their_heads.items()}
    their_loss = losses["logits"] + 0.3 * (losses["aux_4a"] + losses["aux_4d"])
    their_loss.backward()
    theirs = {"loss": their_loss.detach(), **{name: each.detach() for name, each in their_heads.items()}}
    yield compare("torchvision, training: loss and the three heads", {"loss": loss, **heads}, theirs)
    outputs = our_outputs(updated["intermediates"])
    yield compare("torchvision, training: every module", outputs, their_outputs)
    yield compare(
        "torchvision, training: gradients of the loss",
        layout.to_tensors({"params": gradient}, peer_names.name_of),
        {name: each.grad for name, each in peer.named_parameters()},
    )
    before, after = (
        layout.to_tensors({"batch_stats": each["batch_stats"]}, peer_names.name_of)
        for each in (variables, updated)
    )
    yield compare(
        "torchvision, training: running mean and variance",
        {name: _as_pytorch_runs(name, before[name], after[name], outputs) for name in after},
        {name: each for name, each in peer.named_buffers() if "running" in name},
    )


def _as_pytorch_runs(name: str, before: np.ndarray, after: np.ndarray, outputs: Arrays) -> np.ndarray:
    """Flax averages the variance of n values; PyTorch the unbiased estimate, n / (n - 1) of it."""
    if not name.endswith("running_var"):
        return after
    count = outputs[name.removesuffix(".bn.running_var")][:, 0].size
    return 0.9 * before + (after - 0.9 * before) * count / (count - 1)


def channels_first(pixels: np.ndarray) -> torch.Tensor:
    """[batch, height, width, 3] as PyTorch wants it."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


# --- the ONNX Model Zoo


def zoo_file(path: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """BVLC's graph as the package onnx ships it, random weights put in for its constants."""
    model = onnx.load(pathlib.Path(onnx.__file__).parent / "backend/test/data/light/light_inception_v1.onnx")
    shapes = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    rng = np.random.default_rng(seed)
    nodes, weights = [], {}
    for node in model.graph.node:
        if node.op_type == "ConstantOfShape":
            weights[node.output[0]] = tuple(shapes[node.input[0]])
        else:
            nodes.append(node)
    weights |= {name: array.shape for name, array in shapes.items() if name.endswith("_b_0")}
    kept = [each for each in model.graph.initializer if each.name.startswith("OC2")]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    for name, shape in weights.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.1
        array = rng.normal(0, scale, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    stays = {"data_0", *(each.name for each in kept)}
    inputs = [each for each in model.graph.input if each.name in stays]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    onnx.save(model, path)
    return path


def against_onnx(directory: pathlib.Path) -> Iterator[Comparison]:
    """Every value of BVLC's graph, run by onnxruntime, on weights that were imported from it."""
    file = zoo_file(directory / "googlenet-9.onnx")
    import_weights("onnx", str(file), str(directory / "bvlc"))
    classifier = flax_googlenet.load(directory / "bvlc")
    graph = onnx.load(file)
    values = {each.output[0] for each in graph.graph.node if each.op_type not in ("Dropout", "Reshape")}
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in sorted(values))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    pixels = np.random.default_rng(1).uniform(-120, 130, (1, 224, 224, 3)).astype(np.float32)
    run = session.run(sorted(values), {"data_0": channels_first(pixels).numpy()})
    theirs = dict(zip(sorted(values), run, strict=True))

    def forward(variables: Any, x: jax.Array) -> Any:
        return classifier.model.apply(
            variables,
            x,
            mutable=["intermediates"],
            capture_intermediates=lambda module, _: isinstance(module, nn.Conv),
        )

    outputs, captured = jax.jit(forward)(classifier.variables, pixels)
    ours = _by_value_of_the_graph(graph.graph.node, captured["intermediates"], outputs["logits"])
    yield compare("ONNX Model Zoo's BVLC graph in onnxruntime: every value", ours, theirs)


def _by_value_of_the_graph(nodes: Any, captured: Any, logits: jax.Array) -> dict[str, Any]:
    """Our counterpart of each node's output, found by the weights and by the order of the rows."""
    convolved = {zoo.name_of(layer[:-1], ("conv", "kernel")): array for layer, array in _calls(captured)}
    of_stem = captured["stem"]
    rows = iter(("pool1", "pool2", "pool3", "pool4"))
    normalized = iter(("pool1", "conv2"))
    modules = iter(sorted(name for name in captured if re.fullmatch("inception_.._output", name)))
    found: dict[str, Any] = {}  # channels last
    for node in nodes:
        output, x = node.output[0], found.get(node.input[0])
        if node.op_type == "Conv":
            found[output] = convolved[node.input[1]]
        elif node.op_type == "Relu":
            found[output] = jax.nn.relu(x)
        elif node.op_type == "LRN":
            found[output] = of_stem[f"{next(normalized)}_output"][0]
        elif node.op_type == "MaxPool":
            strides = next(list(each.ints) for each in node.attribute if each.name == "strides")
            if strides == [1, 1]:
                found[output] = ops.max_pool(jnp.asarray(x), 3, 1, ((1, 1), (1, 1)))
            elif (row := next(rows)) == "pool1":  # its row is what LRN makes of it
                found[output] = ops.max_pool(jnp.asarray(x), 3, 2, ((0, 0), (0, 0)))
            else:
                found[output] = {**of_stem, **captured}[f"{row}_output"][0]
        elif node.op_type == "Concat":
            found[output] = captured[next(modules)][0]
        elif node.op_type == "AveragePool":
            found[output] = captured["avg_pool_output"][0][:, None, None]
        elif node.op_type == "Gemm":
            found[output] = logits
        elif node.op_type == "Softmax":
            found[output] = jax.nn.softmax(logits)
    return {name: np.moveaxis(array, -1, 1) for name, array in found.items()}


def _calls(captured: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for name, value in captured.items():
        if isinstance(value, Mapping):
            yield from _calls(value, (*prefix, name))
        elif name == "__call__":
            yield prefix, value[0]


# --- local response normalisation


def of_local_response_norm() -> Iterator[Comparison]:
    """Both definitions of alpha, large enough to matter, against PyTorch's and in float64."""
    x = np.random.default_rng(0).normal(0, 10, (2, 7, 5, 24)).astype(np.float32)
    for size, alpha, beta, k in ((5, 1e-4, 0.75, 1.0), (5, 1.0, 0.75, 1.0), (3, 0.5, 0.5, 2.0)):
        options = {"size": size, "alpha": alpha, "beta": beta, "k": k}
        label = f"size {size}, alpha {alpha}, beta {beta}, k {k}"
        divided = ops.local_response_norm(jnp.asarray(x), **options, divide_alpha_by_size=True)
        theirs = torch.nn.LocalResponseNorm(size, alpha, beta, k)(channels_first(x)).permute(0, 2, 3, 1)
        yield compare(f"LRN, alpha / size: PyTorch ({label})", {"y": divided}, {"y": theirs}, 1e-6)
        summed = ops.local_response_norm(jnp.asarray(x), **options)
        yield compare(
            f"LRN: the formula in float64 ({label})", {"y": summed}, {"y": _formula(x, **options)}, 1e-6
        )


def _formula(x: np.ndarray, size: int, alpha: float, beta: float, k: float) -> np.ndarray:
    """Krizhevsky et al. 2012, section 3.3, a channel at a time."""
    wide, y = x.astype(np.float64), np.empty(x.shape)
    for i in range(x.shape[-1]):
        neighbours = wide[..., max(0, i - size // 2) : min(x.shape[-1], i + size // 2 + 1)]
        y[..., i] = wide[..., i] / (k + alpha * (neighbours**2).sum(axis=-1)) ** beta
    return y


# --- there and back


def random_variables(model: Network, size: int, seed: int = 0) -> Any:
    """He-distributed kernels; biases, scales and statistics that are nowhere 0 or 1."""
    rng = np.random.default_rng(seed)

    def draw(path: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        if path[-1] == "kernel":
            return rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        return rng.uniform(0.5, 1.5, shape) if path[-1] in ("scale", "var") else rng.normal(0, 0.1, shape)

    x = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: draw(tuple(part.key for part in path), leaf.shape).astype(np.float32), shapes
    )


def random_checkpoint(directory: pathlib.Path, size: int, **options: Any) -> flax_googlenet.Classifier:
    """A checkpoint with random weights, loaded."""
    given = {"model": options, "data": {"image_size": size, "resize": size}}
    config = resolve(given)
    names = tuple(map(str, range(config.model.num_classes)))
    description = checkpoints.Description(0, to_json_dict(config), names)
    checkpoints.write(str(directory), random_variables(build_model(config.model), size), description)
    return flax_googlenet.load(directory)


def normalized_logits(classifier: flax_googlenet.Classifier, x: np.ndarray) -> np.ndarray:
    """Logits of images that are prepared already."""
    apply = jax.jit(lambda variables, x: classifier.model.apply(variables, x)["logits"])
    return np.asarray(apply(classifier.variables, x))


def round_trip_torchvision(directory: pathlib.Path) -> Iterator[Comparison]:
    """Ours -> state dict -> torchvision's model -> logits; and imported again."""
    ours = random_checkpoint(directory / "torchvision", 224, variant="torchvision")
    file = export(ours, "torchvision", str(directory / "googlenet.pth"))
    peer = torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False)
    peer.load_state_dict(torch.load(file, weights_only=True), strict=True)
    x = np.random.default_rng(2).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = peer.eval()(channels_first(x))
    yield compare(
        "ours -> torchvision's model: logits", {"logits": normalized_logits(ours, x)}, {"logits": theirs}
    )
    import_weights("torchvision", str(file), str(directory / "again"))
    again = flax_googlenet.load(directory / "again")
    before, after = (layout.to_tensors(each.variables, peer_names.name_of) for each in (ours, again))
    yield compare("ours -> torchvision's file -> ours: every array", after, before, tolerance=0.0)


# Every switch at least once; small, for onnxruntime is not what is tested.
EXPORTED: dict[str, dict[str, Any]] = {
    "paper": {"variant": "paper"},
    "bvlc": {"variant": "bvlc"},
    "torchvision": {"variant": "torchvision"},
    "bn": {"variant": "bn", "conv_padding": "same", "pool_rounding": "floor"},
    "naive": {"variant": "naive", "num_classes": 10},
    "vgg16": {"variant": "vgg16", "num_classes": 10},
    "fully connected": {"head": "fully_connected", "normalization": "none", "stem_reduce": False},
}


def round_trip_onnx(directory: pathlib.Path, size: int = 64) -> Iterator[Comparison]:
    """Ours -> ONNX -> onnxruntime: logits and probabilities, for every variant."""
    for name, options in EXPORTED.items():
        ours = random_checkpoint(directory / f"onnx-{name}", size, **options)
        file = export(ours, "onnx", str(directory / f"{name}.onnx"))
        x = np.random.default_rng(3).uniform(-1, 1, (3, size, size, 3)).astype(np.float32)
        logits = normalized_logits(ours, x)
        found = onnxruntime.InferenceSession(file).run(None, {"data_0": channels_first(x).numpy()})
        yield compare(
            f"ours -> ONNX in onnxruntime: {name}",
            {"logits": logits, "prob_1": jax.nn.softmax(logits)},
            dict(zip(("logits", "prob_1"), found, strict=True)),
        )


_CALL_STABLEHLO = """
import sys
import jax.export, numpy as np
exported = jax.export.deserialize(open(sys.argv[1], "rb").read())
np.savez(sys.argv[3], **exported.call(np.load(sys.argv[2])))
"""


def round_trip_stablehlo(directory: pathlib.Path, size: int = 64) -> Iterator[Comparison]:
    """Ours -> StableHLO -> called in a new process: bit for bit."""
    for variant in ("bvlc", "torchvision"):
        ours = random_checkpoint(directory / f"stablehlo-{variant}", size, variant=variant)
        file = export(ours, "stablehlo", str(directory / f"{variant}.stablehlo"))
        images = np.random.default_rng(4).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
        expected = jax.device_get(jax.jit(inference(ours))(images))
        np.save(directory / "images.npy", images)
        arguments = [str(file), str(directory / "images.npy"), str(directory / "found.npz")]
        subprocess.run([sys.executable, "-c", _CALL_STABLEHLO, *arguments], check=True)
        found = dict(np.load(directory / "found.npz"))
        yield compare(f"ours -> StableHLO in a new process: {variant}", found, expected, tolerance=0.0)


# --- from a file on disk to probabilities


def of_a_photograph(directory: pathlib.Path) -> Iterator[Comparison]:
    """The whole way, decoding, resizing and cropping included, on two photographs."""
    peer = torchvision_model().eval()
    torch.save(peer.state_dict(), directory / "photograph.pth")
    import_weights("torchvision", str(directory / "photograph.pth"), str(directory / "photograph"))
    files = [pathlib.Path(each) for each in load_sample_images().filenames]
    found = flax_googlenet.load(directory / "photograph").predict(files)
    ours = {file.name: row for file, row in zip(files, found, strict=True)}
    transform = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.transforms()

    def tensor(file: pathlib.Path) -> torch.Tensor:
        return torch.from_numpy(np.array(PIL.Image.open(file))).permute(2, 0, 1)

    # torchvision itself resizes in two ways. Ours is Pillow's; the other is off by a few
    # values of pixels, which costs what the last row says.
    for kind, decode, tolerance in (("a Pillow image", PIL.Image.open, 1e-4), ("a tensor", tensor, 0.05)):
        theirs = {}
        for file in files:
            with torch.no_grad():
                theirs[file.name] = torch.softmax(peer(transform(decode(file))[None])[0], dim=0)
        yield compare(f"predict on a file: torchvision on {kind}", ours, theirs, tolerance)


# --- the table

_OUT = flags.DEFINE_string("out", None, "Markdown file for the table, in place of the terminal.")


def comparisons(directory: pathlib.Path) -> Iterator[Comparison]:
    """All of them."""
    yield from against_torchvision()
    yield from against_onnx(directory)
    yield from of_local_response_norm()
    yield from round_trip_torchvision(directory)
    yield from round_trip_onnx(directory)
    yield from round_trip_stablehlo(directory)
    yield from of_a_photograph(directory)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    lines = ["| compared | arrays | largest error | of | tolerance |", "|---|---:|---:|---|---:|"]
    holds = True
    with tempfile.TemporaryDirectory() as directory:
        for each in comparisons(pathlib.Path(directory)):
            error = each.errors[each.worst]
            holds &= error <= each.tolerance
            lines.append(
                f"| {each.what} | {len(each.errors)} | {error:.1e} | `{each.worst}` | {each.tolerance:.0e} |"
            )
            print(lines[-1], file=sys.stderr)
    if _OUT.value:
        text = "\n".join([_HEAD.format(conditions=conditions()), *lines, ""])
        pathlib.Path(_OUT.value).write_text(text, encoding="utf-8")
    return {"comparisons": len(lines) - 2, "holds": holds}


_HEAD = """# Parity

How close our networks are to those of others, on the same weights and inputs. The error is the largest
difference, as a share of the largest value in the peer's array. Written by

    python -m benchmarks.parity --out=docs/parity.md

{conditions}

Evaluation and round trips are in float32. Training is compared in float64: batch normalisation over few
values magnifies rounding, and every ReLU near 0 that it turns over changes a gradient, so that what float32
leaves of them says nothing. Running variances are compared after undoing that PyTorch divides by n - 1 and
Flax by n. A tolerance of 0 means bit for bit. The last row is no fault of either: torchvision resizes
tensors in another way than Pillow images, which is the way taken here.
"""


def conditions() -> str:
    """Machine and versions, in a line."""
    packages = ("jax", "flax", "torch", "torchvision", "onnx", "onnxruntime")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    device = jax.devices()[0].device_kind
    return f"on {os.cpu_count()} cores ({platform.machine()}, {device}), Python {platform.python_version()}, {versions}."


if __name__ == "__main__":
    command.run(main)
