import dataclasses
import hashlib
import os
import pathlib
import sys

import jax
import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
import torchvision
from flax.traverse_util import flatten_dict

import flax_googlenet
from benchmarks.parity.onnx import zoo_file
from benchmarks.parity.torchvision import torchvision_model
from flax_googlenet.errors import UserError
from flax_googlenet.interop import SOURCES, download, import_weights, layout
from flax_googlenet.interop.onnx_reader import NAMES
from tests.support.weights import arrays, assert_same

LIGHT = pathlib.Path(onnx.__file__).parent / "backend/test/data/light"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def state():
    """The state dict of torchvision's network with twelve classes."""
    return torchvision_model(num_classes=12).state_dict()


@pytest.fixture(scope="module")
def pth(directory, state):
    torch.save(state, directory / "googlenet.pth")
    return directory / "googlenet.pth"


@pytest.fixture(scope="module")
def zoo(directory):
    return zoo_file(directory / "googlenet-9.onnx")


def saved(directory: pathlib.Path, state, name: str = "changed.pth") -> str:
    torch.save(state, directory / name)
    return str(directory / name)


@pytest.fixture(scope="module")
def imported(directory, pth):
    return import_weights("torchvision", str(pth), str(directory / "imported"))


def test_the_result_is_an_ordinary_checkpoint(directory, imported):
    classifier = flax_googlenet.load(directory / "imported")
    assert imported.params == 6_624_904 - 988 * 1025
    assert (imported.missing, imported.unused) == ((), ())
    assert classifier.config.model.variant == "torchvision"
    assert classifier.class_names == tuple(map(str, range(12)))
    assert classifier.config.data.mean == classifier.config.data.std == (127.5, 127.5, 127.5)
    assert (classifier.config.data.interpolation, classifier.config.data.resize) == ("antialias", 256)
    assert classifier.origin["source"] == "torchvision"
    assert len(classifier.origin["sha256"]) == 64
    assert classifier.metadata["licence"] == "not known: this is not the published file"
    assert classifier.metadata["mean"] == (127.5, 127.5, 127.5)
    heads = classifier.predict_heads([np.zeros((30, 40, 3), np.uint8)], batch_size=1)
    assert {name: probabilities.shape for name, probabilities in heads.items()} == dict.fromkeys(
        ("logits", "aux_4a", "aux_4d"), (1, 12)
    )


def test_a_safetensors_file_gives_the_same_weights(directory, state, imported):
    safetensors.torch.save_file(state, directory / "googlenet.safetensors")
    import_weights("torchvision", directory / "googlenet.safetensors", directory / "from_safetensors")
    assert_same(arrays(directory / "from_safetensors"), arrays(imported.checkpoint))


def test_a_file_without_auxiliary_heads_gives_a_network_without_them(directory, state):
    trunk = {name: tensor for name, tensor in state.items() if not name.startswith("aux")}
    import_weights("torchvision", saved(directory, trunk), str(directory / "trunk"))
    assert flax_googlenet.load(directory / "trunk").config.model.aux_heads == 0


def test_options_set_class_names_preprocessing_and_tolerance(directory, state):
    changed = {**state, "extra": torch.zeros(2)}
    del changed["fc.bias"]
    result = import_weights(
        "torchvision",
        saved(directory, changed),
        str(directory / "options"),
        class_names=[f"class {i}" for i in range(12)],
        transform_input=False,
        allow_missing=True,
        allow_unused=True,
    )
    assert (result.missing, result.unused) == (("fc.bias",), ("extra",))
    classifier = flax_googlenet.load(directory / "options")
    assert classifier.class_names[3] == "class 3"
    assert classifier.config.data.std == (58.395, 57.12, 57.375)
    assert not classifier.variables["params"]["head"]["bias"].any()


def test_a_thousand_classes_have_imagenets_names(directory, zoo):
    import_weights("onnx", str(zoo), str(directory / "zoo"))
    classifier = flax_googlenet.load(directory / "zoo")
    assert classifier.class_names[0] == "tench"
    assert classifier.class_names[999] == "toilet tissue"
    assert classifier.class_names == tuple(torchvision.models.GoogLeNet_Weights.DEFAULT.meta["categories"])
    assert (classifier.config.model.variant, classifier.config.model.pool_rounding) == ("bvlc", "floor")
    assert (classifier.config.model.aux_heads, classifier.config.data.channel_order) == (0, "bgr")
    assert (classifier.config.data.mean, classifier.config.data.stretch) == ((123.0, 117.0, 104.0), True)


def test_auxiliary_heads_of_a_training_graph_are_imported(directory, zoo, rng):
    """BVLC's network in training, as a graph. The published graph has no auxiliary heads."""
    model = onnx.load(zoo)
    rows = {"loss1": ("inception_4a", 512), "loss2": ("inception_4d", 528)}
    weights = {}
    for head, (row, depth) in rows.items():
        (concat,) = [
            node.output[0]
            for node in model.graph.node
            if node.op_type == "Concat" and any(row in name for name in _concatenated(model, node))
        ]
        shapes = {"conv": (128, depth, 1, 1), "fc": (1024, 2048), "classifier": (1000, 1024)}
        for layer, shape in shapes.items():
            weights[f"{head}/{layer}_w_0"] = rng.normal(size=shape).astype(np.float32)
            weights[f"{head}/{layer}_b_0"] = rng.normal(size=shape[:1]).astype(np.float32)
        node = onnx.helper.make_node
        pooled = {"kernel_shape": [5, 5], "strides": [3, 3], "ceil_mode": 1}
        model.graph.node.extend(
            [
                node("AveragePool", [concat], [f"{head}/ave_pool"], **pooled),
                node("Conv", [f"{head}/ave_pool", f"{head}/conv_w_0", f"{head}/conv_b_0"], [f"{head}/conv"]),
                node("Relu", [f"{head}/conv"], [f"{head}/relu_conv"]),
                node("Flatten", [f"{head}/relu_conv"], [f"{head}/flat"]),
                node("Gemm", [f"{head}/flat", f"{head}/fc_w_0", f"{head}/fc_b_0"], [f"{head}/fc"], transB=1),
                node("Relu", [f"{head}/fc"], [f"{head}/relu_fc"]),
                node(
                    "Gemm",
                    [f"{head}/relu_fc", f"{head}/classifier_w_0", f"{head}/classifier_b_0"],
                    [f"{head}/classifier"],
                    transB=1,
                ),
            ]
        )
    for name, array in weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, directory / "heads.onnx")
    import_weights("onnx", str(directory / "heads.onnx"), str(directory / "heads"))
    classifier = flax_googlenet.load(directory / "heads")
    assert classifier.config.model.aux_heads == 2
    tensors = layout.to_tensors(classifier.variables, NAMES)
    for name, array in weights.items():
        np.testing.assert_array_equal(tensors[name], array)


def _concatenated(model, concat) -> list[str]:
    """Return the names of the weights whose outputs a node concatenates."""
    by_output = {node.output[0]: node for node in model.graph.node}
    relus = [by_output[name] for name in concat.input]
    return [by_output[relu.input[0]].input[1] for relu in relus]


@pytest.mark.parametrize("opset", [8, 12, 13, 17])
def test_every_opset_is_read_alike(directory, zoo, opset):
    model = onnx.version_converter.convert_version(onnx.load(zoo), opset)
    assert model.opset_import[0].version == opset
    onnx.save(model, directory / f"opset-{opset}.onnx")
    import_weights("onnx", str(directory / f"opset-{opset}.onnx"), str(directory / f"opset-{opset}"))
    if not (directory / "opset-9/checkpoints").exists():
        import_weights("onnx", str(zoo), str(directory / "opset-9"))
    assert_same(arrays(directory / f"opset-{opset}"), arrays(directory / "opset-9"))


def test_the_oldest_opset_is_read_with_weights_among_its_inputs(directory, zoo):
    model = onnx.load(zoo)
    model.opset_import[0].version, model.ir_version = 3, 3
    for tensor in model.graph.initializer:
        value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(value)
    for node in model.graph.node:
        if node.op_type == "Dropout":
            node.attribute.append(onnx.helper.make_attribute("is_test", 1))
        if node.op_type == "Gemm":
            node.attribute.append(onnx.helper.make_attribute("broadcast", 1))
        if node.op_type == "MaxPool" and list(node.attribute[0].ints) == [2, 2]:
            node.attribute[1].ints[:] = [0, 0, 1, 1]  # rounds up, as Caffe did
    onnx.save(model, directory / "opset-3.onnx")
    import_weights("onnx", str(directory / "opset-3.onnx"), str(directory / "opset-3"))
    assert flax_googlenet.load(directory / "opset-3").config.model.pool_rounding == "ceil"


class _Code:
    """A pickle that makes a directory when it is loaded."""

    def __init__(self, witness: pathlib.Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return os.mkdir, (str(self.witness),)


def test_code_is_refused_and_not_run(directory, state, tmp_path):
    path = saved(directory, {**state, "fc.bias": _Code(tmp_path / "ran")})
    with pytest.raises(UserError, match=r"changed.pth holds code besides weights, which was not run"):
        import_weights("torchvision", path, str(tmp_path / "out"))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


def changed(state, **tensors):
    return {**state, **{name.replace("__", "."): tensor for name, tensor in tensors.items()}}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(
            lambda _: torchvision.models.resnet18().state_dict(),
            "is not torchvision's GoogLeNet: it lacks conv1.conv.weight",
            id="another network",
        ),
        pytest.param(
            lambda state: changed(state, inception3a__branch3__1__conv__weight=torch.zeros(32, 16, 5, 5)),
            "inception3a.branch3.1.conv.weight is 32x16x5x5 in the file and 32x16x3x3 in the network",
            id="another kernel",
        ),
        pytest.param(
            lambda state: changed(state, aux1__fc2__weight=torch.zeros(10, 1024)),
            "aux1.fc2.weight is 10x1024 in the file and 12x1024 in the network",
            id="different numbers of classes",
        ),
        pytest.param(
            lambda state: changed(state, extra__weight=torch.zeros(2)),
            "has tensors without a place in torchvision's GoogLeNet: extra.weight; pass allow_unused=true",
            id="a tensor too many",
        ),
        pytest.param(lambda state: list(state.values()), "holds no state dict", id="a list"),
        pytest.param(lambda _: {}, "it lacks", id="empty"),
    ],
)
def test_errors_say_how_a_state_dict_differs(state, tmp_path, make, words):
    path = saved(tmp_path, make(state))
    with pytest.raises(UserError) as caught:
        import_weights("torchvision", path, str(tmp_path / "out"))
    assert path in str(caught.value)
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "name", "words"),
    [
        ("torchvision", "googlenet.pth", "is truncated"),
        ("torchvision", "googlenet.safetensors", "is truncated"),
        ("safetensors", "googlenet.safetensors", "is truncated"),
        ("onnx", "googlenet.onnx", "is truncated"),
    ],
)
@pytest.mark.parametrize("content", ["half", "text", "empty"])
def test_errors_name_corrupt_files(pth, zoo, tmp_path, source, name, words, content):
    data = {"torchvision": pth, "onnx": zoo}.get(source, pth).read_bytes()
    path = tmp_path / name
    path.write_bytes({"half": data[: len(data) // 2], "text": b"weights\n" * 9, "empty": b""}[content])
    with pytest.raises(UserError) as caught:
        import_weights(source, str(path), str(tmp_path / "out"))
    message = str(caught.value)
    assert str(path) in message
    assert words in message or "or not a" in message or "nodes of kind" in message
    assert not (tmp_path / "out").exists()


def test_errors_say_how_a_graph_differs(tmp_path):
    with pytest.raises(
        UserError, match=r"light_squeezenet.onnx is not BVLC's GoogLeNet: its graph has 26 nodes of kind Conv"
    ):
        import_weights("onnx", str(LIGHT / "light_squeezenet.onnx"), str(tmp_path / "out"))
    with pytest.raises(UserError, match=r"it lacks conv1/7x7_s2_w_0"):
        import_weights("onnx", str(LIGHT / "light_inception_v1.onnx"), str(tmp_path / "out"))


def test_mistakes_in_arguments_are_named(pth, tmp_path):
    with pytest.raises(UserError, match=r"There is no file .*nowhere.pth"):
        import_weights("torchvision", str(tmp_path / "nowhere.pth"), str(tmp_path / "out"))
    with pytest.raises(UserError, match='did you mean "torchvision"'):
        import_weights("torchvison", str(pth), str(tmp_path / "out"))
    with pytest.raises(UserError, match="has 12 classes and the list of names 2"):
        import_weights("torchvision", str(pth), str(tmp_path / "out"), class_names=["a", "b"])
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=r"was not written by our export"):
        import_weights("safetensors", str(tmp_path / "a.safetensors"), str(tmp_path / "out"))


@pytest.mark.parametrize("package", ["torch", "onnx"])
def test_errors_name_a_missing_extra(pth, zoo, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)  # makes Python raise ImportError
    source, file = {"torch": ("torchvision", pth), "onnx": ("onnx", zoo)}[package]
    with pytest.raises(
        UserError, match=rf'package {package}; install it with pip install -e "\.\[{package}\]"'
    ):
        import_weights(source, str(file), str(tmp_path / "out"))


def test_a_directory_with_a_checkpoint_is_left_alone(directory, pth, imported):
    before = arrays(imported.checkpoint)
    with pytest.raises(UserError, match="holds a checkpoint already"):
        import_weights("torchvision", str(pth), str(directory / "imported"))
    assert_same(arrays(imported.checkpoint), before)


def test_published_weights_are_loaded_by_name(server, pth, imported, monkeypatch, tmp_path):
    """They are downloaded once, and a directory with the name of their source changes nothing."""
    server.content = pth.read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    address = f"http://127.0.0.1:{server.server_port}/googlenet.pth"
    published = download.Published(address, digest[:8], "free")
    row = dataclasses.replace(SOURCES["torchvision"], published=published)
    monkeypatch.setitem(SOURCES, "torchvision", row)
    (tmp_path / "torchvision").mkdir()
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        classifier = flax_googlenet.load_pretrained("torchvision")
        assert_same(flatten_dict(classifier.variables, sep="/"), arrays(imported.checkpoint))
    assert server.requested == ["/googlenet.pth"]
    assert classifier.metadata["licence"] == "free"
    assert (classifier.step, classifier.config.model.variant) == (0, "torchvision")
    assert classifier.checkpoint.endswith(f"{digest[:8]}-googlenet.pth")
    assert not list((tmp_path / "torchvision").iterdir())
    with pytest.raises(UserError, match="There is no checkpoint in torchvision"):
        flax_googlenet.load("torchvision")


def test_a_file_is_loaded_by_its_path(pth, imported):
    classifier = flax_googlenet.load_pretrained("torchvision", pth, class_names=list("abcdefghijkl"))
    assert classifier.class_names == tuple("abcdefghijkl")
    assert classifier.params == imported.params
    image = np.zeros((1, 40, 30, 3), np.uint8)
    expected = flax_googlenet.load(imported.checkpoint).predict(image, batch_size=1)
    np.testing.assert_array_equal(classifier.predict(image, batch_size=1), expected)


def test_values_are_the_files(state, imported):
    variables = flax_googlenet.load(imported.checkpoint).variables
    kernel = variables["params"]["stem"]["conv1"]["conv"]["kernel"]
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), state["conv1.conv.weight"])
    np.testing.assert_array_equal(
        variables["batch_stats"]["aux_4d"]["conv"]["norm"]["var"], state["aux2.conv.bn.running_var"]
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {np.dtype("float32")}
