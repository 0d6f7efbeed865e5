import dataclasses

import cv2
import jax.numpy as jnp
import numpy as np
import PIL.Image
import pytest

from benchmarks.random_weights import random_variables
from flax_googlenet.config import resolve
from flax_googlenet.errors import UserError
from flax_googlenet.inspection import inspect as module
from flax_googlenet.inspection.inspect import PICTURES, find_class, inspect
from flax_googlenet.models import VGG16
from flax_googlenet.table import CONFIGURATION_D
from tests.support.networks import shrunk
from tests.support.sources import Listed
from tests.support.sources import image as encoded

OF_AN_IMAGE = [name for name in PICTURES if name not in ("filters", "class_visualization")]


@pytest.fixture
def photo(tmp_path, rng):
    path = tmp_path / "a photo.png"
    cv2.imwrite(str(path), rng.integers(0, 256, (40, 52, 3), dtype=np.uint8))
    return path


def is_drawn(path: str) -> bool:
    return len(PIL.Image.open(path).convert("RGB").quantize(256).getcolors()) > 10


@pytest.mark.slow
def test_every_picture_of_two_images(classifier, photo, tmp_path, monkeypatch):
    split = Listed(*[(encoded(gray), gray % 3) for gray in (10, 90, 200)], class_names=classifier.class_names)
    monkeypatch.setattr(module, "open_source", lambda *_: split)
    result = inspect(classifier, [photo, str(photo)], tmp_path / "out")
    assert result["left_out"] == {}
    names = [path.removeprefix(f"{tmp_path}/out/") for path in result["files"]]
    assert names[0] == "filters.png"
    assert names[-1] == "contact_sheet.png"
    for directory in ("01_a_photo", "02_a_photo"):
        expected = [f"{directory}/{name}.png" for name in ("image", *OF_AN_IMAGE)]
        assert [name for name in names if name.startswith(directory)] == expected
    (drawn_class,) = [name for name in names if name.startswith("class_")]
    label = int(classifier.predict([photo])[0].argmax())
    assert drawn_class == f"class_{label}.png", "once for both images"
    assert all(map(is_drawn, result["files"]))


NETWORKS = {
    "vgg16": lambda _: VGG16(num_classes=3, table=shrunk(CONFIGURATION_D)),
    "bfloat16": lambda small: small.clone(dtype=jnp.bfloat16),
    "no auxiliary heads": lambda small: small.clone(aux_heads=0, normalization="none"),
}
LEFT_OUT = {"vgg16": {"heads", "activations"}, "no auxiliary heads": {"heads"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_picture_that_applies_to_a_network(classifier, photo, tmp_path, monkeypatch, name):
    model = NETWORKS[name](classifier.model)
    variables = random_variables(model, classifier.config.data.image_size)
    variables = {"batch_stats": {}, **variables}
    split = Listed((encoded(10), 0), (encoded(200), 1), class_names=classifier.class_names)
    monkeypatch.setattr(module, "open_source", lambda *_: split)
    result = inspect(dataclasses.replace(classifier, model=model, variables=variables), [photo], tmp_path)
    left_out = LEFT_OUT.get(name, set())
    assert result["left_out"].keys() == left_out
    names = [path.rpartition("/")[2].removesuffix(".png") for path in result["files"]]
    drawn = [picture for picture in OF_AN_IMAGE if picture not in left_out]
    assert [names[0], *names[2:]] == ["filters", "image", *drawn, "contact_sheet"]
    assert all(map(is_drawn, result["files"]))


def test_only_the_pictures_that_are_named(classifier, photo, tmp_path):
    result = inspect(
        classifier, [photo], tmp_path, pictures=["grad_cam", "filters", "grad_cam"], class_name="dog"
    )
    names = ["filters.png", "01_a_photo/image.png", "01_a_photo/grad_cam.png", "contact_sheet.png"]
    assert result == {"files": [str(tmp_path / name) for name in names], "left_out": {}}


@pytest.mark.parametrize("picture", ["heads", "activations"])
def test_what_does_not_apply_is_left_out_or_refused(classifier, photo, tmp_path, picture):
    plain = dataclasses.replace(classifier, model=VGG16(num_classes=3))
    reasons = module._inapplicable(plain)
    assert reasons == {
        "heads": "the network has no auxiliary heads",
        "activations": "the network has no Inception modules",
    }
    with pytest.raises(UserError, match=f'The picture "{picture}" cannot be made: the network has no'):
        inspect(plain, [photo], tmp_path / "out", pictures=["filters", picture])
    assert not (tmp_path / "out").exists()


def test_missing_training_images_are_left_out_in_one_sentence(
    classifier, photo, tmp_path, monkeypatch, caplog
):
    """A folder that is gone, and a data set of other classes, unless the data are named."""
    config = resolve({**classifier.config.to_dict(), "data": {"source": "image_folder", "path": "/gone"}})
    small = config.to_dict()
    small["data"].update(image_size=32, resize=32)
    moved = dataclasses.replace(classifier, config=resolve(small))
    monkeypatch.setattr(module, "PICTURES", ("filters", "nearest"))
    result = inspect(moved, [photo], tmp_path)
    assert "/gone" in result["left_out"]["nearest"]
    assert "nearest is left out: the training images cannot be searched: " in caplog.text
    with pytest.raises(UserError, match="/elsewhere"):
        inspect(moved, [photo], tmp_path, data={"path": "/elsewhere"})
    with pytest.raises(UserError, match='The picture "nearest" cannot be made'):
        inspect(moved, [photo], tmp_path, pictures=["nearest"])
    monkeypatch.setattr(module, "open_source", lambda *_: Listed((encoded(0), 0)))
    assert "classes" in inspect(classifier, [photo], tmp_path)["left_out"]["nearest"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": []}, "There is no image to inspect"),
        ({"images": ["x.png"] * 33}, "33 images are too many for a contact sheet; name up to 32"),
        ({"images": ["gone.png"]}, "gone.png cannot be read"),
        ({"pictures": ["gradcam"]}, 'There is no picture "gradcam"; did you mean "grad_cam"?'),
        ({"class_name": "dgo"}, 'There is no class "dgo"; did you mean "dog"?'),
        ({"class_name": "3"}, 'There is no class "3"'),
        ({"layer": "inception_3c"}, 'The network has no layer "inception_3c" with feature maps'),
        ({"out": "/proc/pictures"}, "Cannot write to /proc/pictures"),
    ],
)
def test_a_mistake_is_one_sentence(classifier, photo, tmp_path, changes, message):
    arguments = {"images": [photo], "out": tmp_path / "out", "pictures": ["filters"], **changes}
    with pytest.raises(UserError, match=message.replace("?", r"\?")) as caught:
        inspect(classifier, **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_name_of_a_class_comes_before_its_number():
    assert find_class("0", ["1", "0"]) == 1
    assert find_class("1", ["b", "a"]) == 1
