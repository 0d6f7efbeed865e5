import functools

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flax_googlenet.config import resolve
from flax_googlenet.data import Example, augmentation
from flax_googlenet.data.images import crops, decoding
from flax_googlenet.data.images.resizing import resize_and_crop
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.evaluation.evaluate import average_probabilities
from flax_googlenet.models import GoogLeNet
from flax_googlenet.sharding import data_mesh

COUNT = 21


class Noise:
    class_names = tuple("abcd")
    digest = "noise"

    def __init__(self, count: int) -> None:
        draw = np.random.default_rng(0)
        images = draw.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        encoded = [cv2.imencode(".png", image)[1].tobytes() for image in images]
        self._examples = [Example(image, int(draw.integers(4)), "noise") for image in encoded]

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


@pytest.fixture(scope="module")
def network(small_table):
    model = GoogLeNet(num_classes=4, table=small_table, kernel_init=jax.nn.initializers.he_normal())
    return model, jax.jit(model.init)(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))


@pytest.fixture(scope="module")
def expected(network):
    """Figures of one example at a time on one device, without padding."""
    return evaluate(network, devices=1, batch_size=1)


DATA = resolve({"data": {"image_size": 32, "resize": 40}}).data


def evaluate(network, devices: int, batch_size: int, others=(), **options):
    mesh = data_mesh(jax.devices()[:devices])
    members = [Member(network[0], DATA), *(Member(model, data) for model, _, data in others)]
    evaluator = Evaluator(members, Noise(COUNT), mesh, batch_size=batch_size, **options)
    all_variables = (network[1], *(variables for _, variables, _ in others))
    device = jax.devices()[0]  # where `load` leaves them
    return evaluator([jax.device_put(variables, device) for variables in all_variables])


@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [4, 5, 20, 21, 100])
def test_every_example_counts_once_on_any_devices(network, expected, devices, batch_size):
    figures = evaluate(network, devices, batch_size)
    assert figures["num_examples"] == COUNT
    assert (figures["top1"], figures["top5"]) == (expected["top1"], expected["top5"])
    np.testing.assert_allclose(figures["loss"], expected["loss"], rtol=1e-5)


@pytest.mark.parametrize(("batch_size", "expected"), [(100, [21]), (20, [20, 1]), (5, [5, 5, 5, 5, 1])])
def test_progress_is_reported_per_batch(network, batch_size, expected):
    evaluator = Evaluator(
        [Member(network[0], DATA)], Noise(COUNT), data_mesh(jax.devices()[:1]), batch_size=batch_size
    )
    counts: list[int] = []
    evaluator([network[1]], counts.append)
    assert counts == expected


def test_accuracy_is_a_share_of_the_examples(expected):
    assert 0 < expected["top1"] < 1
    assert expected["top5"] == 1.0, "there are four classes"
    assert expected["top1"] * COUNT == pytest.approx(round(expected["top1"] * COUNT))


def by_hand(network, number_of_crops: int, image: np.ndarray) -> np.ndarray:
    """Return the mean probabilities of an image's crops, from one forward pass per crop."""
    model, variables = network
    batch = {name: array[None] for name, array in crops.host_squares(image, DATA, number_of_crops).items()}
    total = 0
    for crop in crops.crop_squares(jax.device_put(batch), 32, number_of_crops):
        logits = np.asarray(forward(model, variables, augmentation.normalize(crop, DATA)), np.float64)
        total = total + np.exp(logits) / np.exp(logits).sum()
    return total[0] / number_of_crops


@functools.partial(jax.jit, static_argnums=0)
def forward(model, variables, x):
    return model.apply(variables, x)["logits"]


@pytest.mark.parametrize("number_of_crops", [1, 10, 144])
def test_probabilities_are_averaged_over_crops(network, number_of_crops):
    source = Noise(COUNT)
    images = [decoding.decode(example.encoded, "") for example in source]
    probabilities = np.stack([by_hand(network, number_of_crops, image) for image in images])
    labels = np.array([example.label for example in source])
    for devices in (1, 8):
        figures = evaluate(network, devices, batch_size=8, number_of_crops=number_of_crops)
        assert figures["num_examples"] == COUNT
        assert figures["top1"] == pytest.approx((probabilities.argmax(1) == labels).mean())
        loss = -np.log(probabilities[np.arange(COUNT), labels]).mean()
        np.testing.assert_allclose(figures["loss"], loss, rtol=1e-5)


def test_144_crops_of_stretched_images_are_48_computed_once(network, monkeypatch, caplog):
    stretched = resolve({"data": {"image_size": 32, "resize": 40, "stretch": True}}).data
    cut, number_of_crops = crops.crop_squares, []

    def count(*arguments):
        squares = cut(*arguments)
        number_of_crops.append(len(squares))
        return squares

    def evaluate_all() -> dict[str, float]:
        evaluator = Evaluator(
            [Member(network[0], stretched)],
            Noise(COUNT),
            data_mesh(jax.devices()[:2]),
            batch_size=8,
            number_of_crops=144,
        )
        return evaluator([network[1]])

    monkeypatch.setattr(crops, "crop_squares", count)
    once = evaluate_all()
    note = "so only 48 of the paper's 144 crops differ; these are computed once"
    assert caplog.text.count(note) == 1
    monkeypatch.setattr(crops, "places", lambda *_: (0.0, 0.5, 1.0))
    thrice = evaluate_all()
    assert number_of_crops == [48, 144]
    assert caplog.text.count(note) == 1
    assert once["top1"] == thrice["top1"]
    np.testing.assert_allclose(once["loss"], thrice["loss"], rtol=1e-5)


def test_an_ensemble_averages_its_members(network):
    model, variables = network
    other = jax.tree.map(lambda leaf: leaf * 1.1, variables)
    bgr = resolve({"data": {"image_size": 32, "resize": 40, "channel_order": "bgr"}}).data
    same = evaluate(network, 2, 8, others=[(model, variables, DATA)])
    np.testing.assert_allclose(same["loss"], evaluate(network, 2, 8)["loss"], rtol=1e-6)
    figures = evaluate(network, 2, 8, others=[(model, other, bgr)])
    source = Noise(COUNT)
    images = np.stack([resize_and_crop(decoding.decode(example.encoded, ""), DATA) for example in source])
    labels = np.array([example.label for example in source])
    mean = (
        jax.nn.softmax(forward(model, variables, augmentation.normalize(images, DATA)))
        + jax.nn.softmax(forward(model, other, augmentation.normalize(images, bgr)))
    ) / 2
    np.testing.assert_allclose(figures["loss"], -np.log(mean[np.arange(COUNT), labels]).mean(), rtol=1e-5)


@pytest.mark.parametrize("crops", [1, 10])
def test_an_ensemble_has_the_figures_of_its_members(network, crops):
    model, variables = network
    other = jax.tree.map(lambda leaf: leaf * 1.1, variables)
    alone = [evaluate(each, 2, 8, number_of_crops=crops) for each in (network, (model, other))]
    assert "members" not in alone[0]
    members = evaluate(network, 2, 8, others=[(model, other, DATA)], number_of_crops=crops)["members"]
    assert len(members) == len(alone)
    for member, figures in zip(members, alone, strict=True):
        assert member.keys() == {"top1", "top5", "loss"}
        assert (member["top1"], member["top5"]) == (figures["top1"], figures["top5"])
        np.testing.assert_allclose(member["loss"], figures["loss"], rtol=1e-5)


def test_members_that_need_other_crops_are_refused(network):
    stretched = resolve({"data": {"image_size": 32, "resize": 40, "stretch": True}}).data
    with pytest.raises(UserError, match=r"their config\.data\.stretch are False and True"):
        evaluate(network, 1, 8, others=[(*network, stretched)])


def test_auxiliary_heads_on_request(network):
    figures = evaluate(network, 1, 8, all_heads=True)
    assert {"top1_aux_4a", "loss_aux_4a", "top5_aux_4d"} <= set(figures)
    assert figures["loss"] == evaluate(network, 1, 8)["loss"]


def test_the_average_of_one_member_is_its_logits(rng):
    logits = jnp.asarray(rng.normal(size=(1, 3, 4)), jnp.float32)
    np.testing.assert_array_equal(average_probabilities(logits), logits[0])
