import json
import pathlib
import shutil

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.datasets import load_sample_images

from flax_googlenet import checkpoints
from flax_googlenet.checkpoints import Checkpoints, Description
from flax_googlenet.classifier import variable_shapes
from flax_googlenet.config import resolve, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import inherited
from flax_googlenet.models import GoogLeNet, build_model
from flax_googlenet.sharding import data_mesh, replicate
from flax_googlenet.training.fine_tuning import read_start, with_weights
from flax_googlenet.training.state import TrainState, root_key_of


def drawn(shapes):
    """Return random arrays of some shapes, positive as a variance must be."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: rng.uniform(0.5, 1.5, x.shape).astype(np.float32), shapes)


CLASSES = tuple(f"class {i}" for i in range(5))


def save(workdir, variables, config=None, averaged=None, origin=None, class_names=None) -> str:
    weights = {
        "params": variables["params"],
        "batch_stats": variables.get("batch_stats", {}),
        "averaged_params": averaged or {},
        "averaged_batch_stats": {},
    }
    config = config or resolve({"model": {"num_classes": len(variables["params"]["head"]["bias"])}})
    names = class_names or tuple(f"class {i}" for i in range(config.model.num_classes))
    description = Description(7, to_json_dict(config), names, origin=origin or {})
    saved = Checkpoints(str(workdir), keep_last=1, keep_best=0)
    saved.save(7, weights=weights, optimizer={"step": np.int32(7)}, description=description)
    saved.close()
    return str(workdir)


@pytest.fixture(scope="module")
def network(small_table):
    def build(**options):
        return variable_shapes(GoogLeNet(**{"num_classes": 5, "table": small_table, **options}), 32)

    return build


def read(path, shapes, class_names=CLASSES):
    return read_start(path, shapes["params"], shapes.get("batch_stats", {}), class_names)


def leaves(tree) -> dict[str, np.ndarray]:
    found = jax.tree_util.tree_leaves_with_path(tree)
    return {"/".join(part.key for part in path): leaf for path, leaf in found}


OTHER_CLASSES = "new because the classes differ: "


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        pytest.param({}, {}, [], id="the same network"),
        pytest.param(
            {"num_classes": 9}, {}, [OTHER_CLASSES + "head, aux_4a/head, aux_4d/head"], id="other classes"
        ),
        pytest.param(
            {"num_classes": 9, "aux_heads": 0, "normalization": "batch"},
            {"normalization": "batch"},
            [OTHER_CLASSES + "head", "new because {0} lacks them: aux_4a, aux_4d"],
            id="no auxiliary heads there",
        ),
        pytest.param(
            {"aux_heads": 1}, {}, ["new because {0} lacks them: aux_4a"], id="one auxiliary head there"
        ),
        pytest.param(
            {"normalization": "batch"},
            {"normalization": "batch", "aux_heads": 0},
            ["dropped because the network lacks them: aux_4a, aux_4d"],
            id="no auxiliary heads here",
        ),
    ],
)
def test_everything_but_new_heads_is_loaded_and_reported(tmp_path, network, there, here, words):
    variables, shapes = drawn(network(**there)), network(**here)
    path = save(tmp_path, variables, origin={"source": "a museum", "init_from": "elsewhere"})
    start = read(path, shapes)
    loaded = leaves({"params": start.params, "batch_stats": start.batch_stats})
    expected = leaves(variables)
    wanted = {name: leaf.shape for name, leaf in leaves(shapes).items()}
    assert set(loaded) == {name for name, leaf in expected.items() if wanted.get(name) == leaf.shape}
    for name, value in loaded.items():
        np.testing.assert_array_equal(value, expected[name])
    said = [f"init_from {path}: loaded {len(loaded)} arrays", *(sentence.format(path) for sentence in words)]
    assert start.summary == "; ".join(said)
    assert start.origin == {"source": "a museum", "init_from": path, "init_from_step": "7"}


@pytest.mark.parametrize(
    ("there", "here", "kept"),
    [
        pytest.param("abcde", "abcde", True, id="the same"),
        pytest.param("abcde", "abcdf", False, id="another one"),
        pytest.param("abcde", "edcba", False, id="another order"),
        pytest.param(("n01440764", *"bcde"), ("tench", *"bcde"), True, id="two names of one class"),
    ],
)
def test_the_last_layers_are_kept_only_for_the_same_classes(tmp_path, network, there, here, kept):
    variables = drawn(network())
    start = read(save(tmp_path, variables, class_names=tuple(there)), network(), tuple(here))
    assert ("head" in start.params) == kept
    assert ("head" in start.params["aux_4a"]) == kept
    assert (f"{OTHER_CLASSES}head, aux_4a/head, aux_4d/head" in start.summary) != kept


@pytest.mark.parametrize(
    ("there", "here", "words"),
    [
        pytest.param(
            {},
            {"normalization": "batch"},
            r"inception_3a/conv1x1/conv/bias is \(4,\) there and missing here",
            id="missing",
        ),
        pytest.param(
            {"normalization": "batch"},
            {},
            r"inception_3a/conv1x1/conv/bias is missing there and \(4,\) here",
            id="extra",
        ),
        pytest.param(
            {"third_kernel": 3},
            {},
            r"inception_3a/conv5x5/conv/kernel is \(3, 3, 1, 2\) there and \(5, 5, 1, 2\) here",
            id="another shape",
        ),
        pytest.param(
            {"project_pool": False, "num_classes": 9},
            {"num_classes": 9, "head": "fully_connected"},
            r"fc/bias is missing there and \(1024,\) here",
            id="another head",
        ),
    ],
)
def test_another_network_is_refused_and_its_first_difference_named(tmp_path, network, there, here, words):
    path = save(tmp_path, drawn(network(**there)))
    with pytest.raises(UserError, match=words) as caught:
        read(path, network(**here))
    assert str(caught.value).startswith(f"{path} is of another network: ")


def test_a_last_layer_of_another_width_or_half_a_head_is_another_network(tmp_path, network):
    variables, shapes = drawn(network()), network()
    wider = {**variables["params"], "head": {**variables["params"]["head"], "kernel": np.ones((3, 5))}}
    path = save(tmp_path / "wider", {**variables, "params": wider})
    with pytest.raises(UserError, match="head/kernel is"):
        read(path, shapes)
    half = {**variables["params"], "aux_4a": {"fc": variables["params"]["aux_4a"]["fc"]}}
    path = save(tmp_path / "half", {**variables, "params": half})
    with pytest.raises(UserError, match="aux_4a/conv/conv/bias is missing there"):
        read(path, shapes)


def test_the_average_is_preferred_and_a_corrupt_file_refused(tmp_path, network):
    variables = drawn(network())
    averaged = jax.tree.map(lambda x: x * 2, variables["params"])
    path = save(tmp_path, variables, averaged=averaged)
    jax.tree.map(np.testing.assert_array_equal, read(path, network()).params, averaged)
    victim = max(
        (tmp_path / "checkpoints/7/weights").rglob("*"), key=lambda path: path.is_file() * path.stat().st_size
    )
    victim.write_bytes(victim.read_bytes()[:-1] + b"?")
    with pytest.raises(UserError, match="is corrupt"):
        read(path, network())


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("averages", [False, True])
def test_the_state_starts_with_them_on_every_device(tmp_path, network, devices, averages):
    shapes = network(normalization="batch")
    variables = drawn(network(normalization="batch", num_classes=9, aux_heads=1))
    everywhere = replicate(data_mesh(jax.devices()[:devices]))
    zeros = lambda tree: jax.device_put(jax.tree.map(lambda x: jnp.zeros(x.shape), tree), everywhere)  # noqa: E731
    fresh = TrainState(
        zeros(jnp.zeros((), jnp.int32)),
        zeros(shapes["params"]),
        zeros(shapes["batch_stats"]),
        optax.EmptyState(),
        zeros(shapes["params"]) if averages else {},
        zeros(shapes["batch_stats"]) if averages else {},
        root_key_of(0),
    )
    start = read(save(tmp_path, variables), shapes)
    assert leaves(start.batch_stats)
    state = with_weights(fresh, start, everywhere)
    assert jax.tree.structure(state) == jax.tree.structure(fresh)
    found, expected = leaves(state.weights()["params"]), leaves(variables["params"])
    for name, value in found.items():
        is_fresh = name.startswith("aux_4a/") or name.removeprefix("aux_4d/").startswith("head/")
        np.testing.assert_array_equal(value, np.zeros_like(value) if is_fresh else expected[name])
        assert value.sharding.is_equivalent_to(everywhere, value.ndim)
        buffers = {shard.data.unsafe_buffer_pointer() for shard in value.addressable_shards}
        assert len(buffers) == devices, "each device has memory of its own"
    np.testing.assert_array_equal(
        state.batch_stats["stem"]["conv1"]["norm"]["var"],
        variables["batch_stats"]["stem"]["conv1"]["norm"]["var"],
    )
    if averages:
        jax.tree.map(np.testing.assert_array_equal, state.averaged_params, state.params)
        jax.tree.map(np.testing.assert_array_equal, state.averaged_batch_stats, state.batch_stats)
    # Donated whole, as the train step does: no two arrays may be one.
    moved = jax.jit(lambda x: jax.tree.map(lambda a: a + 1, x), donate_argnums=0)(state.weights())
    value = moved["params"]["stem"]["conv1"]["conv"]["kernel"]
    np.testing.assert_array_equal(value, expected["stem/conv1/conv/kernel"] + 1)


def test_a_config_inherits_the_network_and_its_preprocessing(tmp_path, network):
    recorded = resolve(
        {
            "seed": 5,
            "batch_size": 4,
            "model": {"variant": "torchvision", "num_classes": 9, "dropout": 0.1, "dtype": "bfloat16"},
            "data": {"image_size": 64, "source": "mnist_sample", "mirror": False, "stretch": True},
        }
    )
    path = save(tmp_path, drawn(network()), recorded)
    given = {"model": {"num_classes": 0, "aux_heads": 1}, "data": {"resize": 72}}
    config = resolve(given, inherited(path))
    model, data = config.model, config.data
    assert (model.variant, model.normalization, model.third_kernel) == ("torchvision", "batch", 3)
    assert (model.dropout, model.aux_heads) == (0.1, 1)
    assert (model.num_classes, model.dtype) == (0, "float32"), "its own"
    assert (data.image_size, data.resize, data.stretch, data.mean) == (64, 72, True, (127.5, 127.5, 127.5))
    assert (data.source, data.mirror, config.seed, config.batch_size) == ("image_folder", True, 0, 32)


def test_a_run_with_a_checkpoint_inherits_from_that(tmp_path, network, monkeypatch):
    save(tmp_path / "run", drawn(network()), resolve({"model": {"variant": "bn"}}))
    found = inherited(str(tmp_path / "gone"), str(tmp_path / "run"))
    assert found["model"]["variant"] == "bn"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert inherited(str(tmp_path / "gone"), "~/run") == found
    with pytest.raises(UserError, match=r"There is no checkpoint in .*/gone"):
        inherited(str(tmp_path / "gone"), str(tmp_path / "new"))


# From end to end: of which of two photographs is a crop?


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> pathlib.Path:
    """Forty crops of each of the two photographs that scikit-learn ships."""
    root = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name, photo in zip(("temple", "flower"), load_sample_images().images, strict=True):
        (root / name).mkdir()
        for index in range(40):
            y, x = rng.integers(0, photo.shape[0] - 224), rng.integers(0, photo.shape[1] - 224)
            crop = cv2.resize(photo[y : y + 224, x : x + 224, ::-1], (64, 64), interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(root / name / f"{index}.png"), crop)
    return root


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> pathlib.Path:
    """The checkpoint of an untrained network with batch normalization and one auxiliary head."""
    config = resolve(
        {
            "model": {"variant": "bn", "num_classes": 10, "aux_heads": 1},
            "data": {"image_size": 32, "resize": 32},
        }
    )
    rng = np.random.default_rng(0)

    def initial(path, shape):  # compiling the network's own initialization takes longer than the whole test
        if path[-1].key == "kernel":
            deviation = (2 / np.prod(shape.shape[:-1])) ** 0.5
            return rng.normal(0, deviation, shape.shape).astype(np.float32)
        return np.full(shape.shape, path[-1].key in ("scale", "var"), np.float32)

    shapes = variable_shapes(build_model(config.model), 32)
    variables = jax.tree_util.tree_map_with_path(initial, shapes)
    return pathlib.Path(save(tmp_path_factory.mktemp("origin") / "run", variables, config))


def arguments(origin, photos, workdir) -> list[str]:
    return [
        "--config=configs/fine_tune.py",
        f"--workdir={workdir}",
        f"--config.init_from={origin}",
        f"--config.data.path={photos}",
        "--config.data.train_crop=center",
        "--config.batch_size=16",
        "--config.evaluation.batch_size=16",
        "--config.duration=72 steps",
        "--config.log_every=1 step",
        "--config.evaluation.every=36 steps",
        "--config.checkpoint.every=36 steps",
        "--config.optimizer.learning_rate=0.02",
        "--config.schedule.warmup=0 steps",
    ]


@pytest.fixture(scope="module")
def fine_tuned(launch, origin, photos, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("fine_tuned") / "run"
    process = launch("train", *arguments(origin, photos, workdir))
    assert process.returncode == 0, process.stderr
    return workdir, process


def weights_of(path: pathlib.Path) -> dict[str, np.ndarray]:
    return leaves(checkpoints.read_weights(checkpoints.find(str(path))))


@pytest.mark.slow
def test_fine_tuning_tells_two_photographs_apart(origin, fine_tuned):
    workdir, process = fine_tuned
    result = json.loads(process.stdout.splitlines()[-1])
    assert result["step"] == 72
    assert result["top1"] >= 15 / 16, "all of the 16 images, or all but one, depending on the processor"
    assert "evaluated 16 images" in process.stderr, "a fifth of each class"
    assert f"{OTHER_CLASSES}head, aux_4d/head" in process.stderr
    assert process.stderr.count("init_from") == 1
    described = checkpoints.describe(checkpoints.find(str(workdir)))
    assert described.class_names == ("flower", "temple")
    assert described.origin == {"init_from": str(origin), "init_from_step": "7"}
    assert described.config["model"]["num_classes"] == 2
    assert (described.config["model"]["variant"], described.config["model"]["aux_heads"]) == ("bn", 1)


@pytest.mark.slow
def test_frozen_parameters_stay_the_same_bit_for_bit(origin, fine_tuned):
    before, after = weights_of(origin), weights_of(fine_tuned[0])
    assert set(after) == set(before)
    for name, value in after.items():
        if "stem/" in name or "inception_3" in name:
            assert value.tobytes() == before[name].tobytes(), name
        elif value.shape == before[name].shape:
            assert not np.array_equal(value, before[name]), name
    assert any("batch_stats/stem" in name for name in after)


@pytest.mark.slow
def test_a_run_resumes_exactly_after_its_origin_is_gone(launch, origin, photos, fine_tuned, tmp_path):
    workdir, process = fine_tuned
    moved, halfway = tmp_path / "origin", tmp_path / "run"
    shutil.copytree(workdir, halfway)
    shutil.rmtree(halfway / "checkpoints/72")
    shutil.move(origin, moved)
    try:
        again = launch("train", *arguments(origin, photos, workdir))
        resumed = launch("train", *arguments(origin, photos, halfway))
    finally:
        shutil.move(moved, origin)
    assert "is complete" in again.stderr
    assert again.stdout.splitlines()[-1] == process.stdout.splitlines()[-1]
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming at step 36" in resumed.stderr
    assert "init_from" not in resumed.stderr
    found, expected = weights_of(halfway), weights_of(workdir)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert checkpoints.describe(checkpoints.find(str(halfway))).origin["init_from"] == str(origin)
