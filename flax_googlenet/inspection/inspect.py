"""An inspection: the panels of a network and of images, computed and written to files."""

import dataclasses
import functools
import logging
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath
from jaxtyping import Float, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.classifier import Classifier, read_pixels
from flax_googlenet.config import resolve
from flax_googlenet.data import Source, augmentation, check_same_classes, open_source
from flax_googlenet.data.images.resizing import resize_and_crop
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.inspection import activations, attributions, dreams, panels, scores
from flax_googlenet.inspection.neighbors import nearest_training_images
from flax_googlenet.inspection.panels import Panel
from flax_googlenet.inspection.sheets import draw_contact_sheet, draw_panel
from flax_googlenet.paths import explaining_bucket_errors, make_directory, user_path
from flax_googlenet.pictures import caption as printable
from flax_googlenet.pictures import save_picture
from flax_googlenet.progress import Progress

logger = logging.getLogger(__name__)

CONTACT_SHEET = "contact_sheet.png"
MAX_IMAGES = 32  # a contact sheet of more would have more pixels than viewers open


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What the panels of one image are made of.

    Attributes:
      classifier: the network.
      pixels: the image as the network gets it.
      label: the class to explain.
      heads: probabilities by head.
      layer: the layer of Grad-CAM.
    """

    classifier: Classifier
    pixels: UInt8[np.ndarray, "height width 3"]
    label: int
    heads: Mapping[str, Float[np.ndarray, " classes"]]
    layer: str

    @property
    def name(self) -> str:
        """Name of the class, as a picture shows it."""
        return printable(self.classifier.class_names[self.label])

    @functools.cached_property
    def arguments(self) -> tuple[Any, Any, Any]:
        """The model, its variables and the normalized image, as the attributions take them."""
        image = np.asarray(augmentation.normalize(self.pixels, self.data))
        return self.classifier.model, self.classifier.variables, image

    @property
    def data(self) -> FrozenConfigDict:
        """The section `data` of the network's config."""
        return self.classifier.config.data


def _heads(of: Inspection) -> Panel:
    return panels.heads_panel(of.heads, of.classifier.class_names)


def _activations(of: Inspection) -> Panel:
    return panels.branches_panel(activations.branch_maps(*of.arguments))


def _grad_cam(of: Inspection) -> Panel:
    evidence = attributions.grad_cam(*of.arguments, of.label, of.layer)
    return panels.grad_cam_panel(of.pixels, evidence, of.layer, of.classifier.class_names[of.label])


def _saliency(of: Inspection) -> Panel:
    gradient = attributions.saliency(*of.arguments, of.label)
    how = f"The gradient of the score of {of.name} with respect to the pixels."
    return panels.gradient_panel("saliency", f"Saliency: {of.name}", gradient, how)


def _smooth_grad(of: Inspection) -> Panel:
    noise = attributions.gaussian_noise(of.arguments[-1])
    gradient = attributions.smooth_grad(*of.arguments, of.label, noise)
    how = f"The mean of that gradient over {len(noise)} noisy copies of the image."
    return panels.gradient_panel("smooth_grad", f"SmoothGrad: {of.name}", gradient, how)


def _integrated_gradients(of: Inspection) -> Panel:
    model, variables, image = of.arguments
    values = attributions.integrated_gradients(model, variables, image, of.label)
    blank = np.zeros_like(image)
    own, none = scores.class_scores(model, variables, np.stack([image, blank]), of.label)
    caption = (
        f"Red pixels raise the score of {of.name} above that of an image of the mean color, blue ones lower "
        f"it. They add up to {values.sum():.2f}; the scores differ by {own - none:.2f}."
    )
    title = f"Integrated gradients: {of.name}"
    return panels.signed_panel("integrated_gradients", title, values.sum(axis=-1), caption)


def _occlusion(of: Inspection) -> Panel:
    size = of.pixels.shape[0]
    window = max(size // 4, 1)
    stride = max(window // 4, 1)
    falls = attributions.occlusion(*of.arguments, of.label, window=window, stride=stride)
    caption = (
        f"Red where the score of {of.name} falls, blue where it rises, if a square of {window} pixels is "
        f"covered with the mean color: by {-falls.max():+.2f} to {-falls.min():+.2f}, averaged over squares."
    )
    return panels.signed_panel("occlusion", f"Occlusion: {of.name}", falls, caption)


def _deep_dream(of: Inspection) -> Panel:
    layer = dreams.dream_layer(of.classifier.model)
    dream = dreams.deep_dream(*of.arguments, of.data, layer)
    pixels = augmentation.denormalize(dream.image, of.data)
    what = f"The mean square of {layer}"
    return panels.dream_panel("deep_dream", f"DeepDream: {layer}", pixels, dream, what)


def _filters(classifier: Classifier) -> Panel:
    filters = activations.first_filters(classifier.model, classifier.variables, classifier.config.data)
    return panels.filters_panel(filters)


def _class_visualization(classifier: Classifier, label: int) -> Panel:
    data, name = classifier.config.data, printable(classifier.class_names[label])
    dream = dreams.visualize_class(classifier.model, classifier.variables, data, label)
    pixels = augmentation.denormalize(dream.image, data)
    what = f"Made from the mean color: the score of {name}, less a penalty on strong colors,"
    return panels.dream_panel(f"class_{label}", f"What {name} looks like", pixels, dream, what)


# The pictures of an image, in the order of the contact sheet.
_OF_AN_IMAGE: dict[str, Callable[[Inspection], Panel]] = {
    "heads": _heads,
    "activations": _activations,
    "grad_cam": _grad_cam,
    "saliency": _saliency,
    "smooth_grad": _smooth_grad,
    "integrated_gradients": _integrated_gradients,
    "occlusion": _occlusion,
    "deep_dream": _deep_dream,
}
PICTURES: tuple[str, ...] = ("filters", "class_visualization", *_OF_AN_IMAGE, "nearest")


def inspect(
    classifier: Classifier,
    images: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    pictures: Sequence[str] | None = None,
    class_name: str | None = None,
    layer: str | None = None,
    data: Mapping[str, Any] | None = None,
    candidates: int = 1000,
) -> dict[str, Any]:
    """Write pictures of a network and of what it sees in images, and a contact sheet of all.

    Args:
      classifier: the network.
      images: paths of image files.
      out: directory for the pictures; created if it does not exist.
      pictures: names from `PICTURES`. By default, all that apply: the auxiliary heads and the branches need
        a network that has them, and the nearest training images need the training split.
      class_name: the class to explain, by its name or its number; the predicted class by default.
      layer: the layer of Grad-CAM, by default `attributions.default_layer`.
      data: values that replace those in the section `data` of the checkpoint's config, to find the training
        split, such as {"path": "/elsewhere"}.
      candidates: number of training images to search for the nearest ones.

    Returns:
      "files", the paths of the pictures, the contact sheet last; and "left_out", the reasons by the names of
      the pictures that do not apply.

    Raises:
      UserError: if there is no image, or an image, a name, the data or `out` cannot be used, or a picture
        that was asked for by name does not apply.
    """
    if not images:
        raise UserError("There is no image to inspect; name at least one file.")
    if len(images) > MAX_IMAGES:
        raise UserError(f"{len(images)} images are too many for a contact sheet; name up to {MAX_IMAGES}.")
    chosen = tuple(dict.fromkeys(PICTURES if pictures is None else pictures))
    for picture in chosen:
        if picture not in PICTURES:
            raise UserError(f'There is no picture "{picture}"; {did_you_mean(picture, PICTURES)}')
    label = None if class_name is None else find_class(class_name, classifier.class_names)
    left_out = _inapplicable(classifier)
    source = None
    if "nearest" in chosen:
        try:
            source = _training_split(classifier, data or {})
        except UserError as error:
            if data:
                raise
            left_out["nearest"] = f"the training images cannot be searched: {error}"
    left_out = {picture: reason for picture, reason in left_out.items() if picture in chosen}
    for picture, reason in left_out.items():
        if pictures is not None:
            raise UserError(f'The picture "{picture}" cannot be made: {reason.rstrip(".")}.')
        logger.info(f"{picture} is left out: {reason.rstrip('.')}")
    chosen = tuple(picture for picture in chosen if picture not in left_out)

    model, image_size = classifier.model, classifier.config.data.image_size
    layer = layer or attributions.default_layer(model, image_size)
    attributions.check_layer(model, layer)
    squares = [resize_and_crop(read_pixels(image), classifier.config.data) for image in images]
    directory = user_path(out)
    try:
        with explaining_bucket_errors(directory, "write"):
            make_directory(directory)
            heads = classifier.predict_heads(squares, batch_size=scores.BATCH_SIZE)
            inspections = [
                Inspection(
                    classifier,
                    square,
                    int(heads["logits"][index].argmax()) if label is None else label,
                    {head: probabilities[index] for head, probabilities in heads.items()},
                    layer,
                )
                for index, square in enumerate(squares)
            ]
            rows = _panels(inspections, chosen, source, candidates)
            files = _save(rows, images, directory)
    except OSError as error:
        raise UserError(f"Cannot write to {directory}: {error.strerror}; choose another out.") from error
    return {"files": files, "left_out": left_out}


def find_class(name: str, class_names: Sequence[str]) -> int:
    """Return the label of a class, by its name or, if no class has this name, by its number.

    Raises:
      UserError: if there is no such class.

    >>> find_class("cat", ["cat", "dog"]), find_class("1", ["cat", "dog"])
    (0, 1)
    """
    if name in class_names:
        return list(class_names).index(name)
    if re.fullmatch(r"\d+", name) and int(name) < len(class_names):
        return int(name)
    raise UserError(f'There is no class "{name}"; {did_you_mean(name, class_names[:1000])}')


def _inapplicable(classifier: Classifier) -> dict[str, str]:
    """Return why pictures cannot be made of a network, by the names of the pictures."""
    reasons = {}
    if len(classifier.model.head_names) == 1:
        reasons["heads"] = "the network has no auxiliary heads"
    if not activations.has_branches(classifier.model):
        reasons["activations"] = "the network has no Inception modules"
    return reasons


def _training_split(classifier: Classifier, changes: Mapping[str, Any]) -> Source:
    sections: dict[str, Any] = classifier.config.to_dict()
    source = open_source(resolve({**sections, "data": {**sections["data"], **changes}}).data, "train")
    check_same_classes(
        classifier.class_names,
        source.class_names,
        classifier.checkpoint,
        "the data set",
        "search a data set of its own classes",
    )
    return source


def _panels(
    inspections: Sequence[Inspection], chosen: Sequence[str], source: Source | None, candidates: int
) -> list[list[Panel]]:
    """Return the panels of the network, and those of each image."""
    classifier = inspections[0].classifier
    labels = sorted({of.label for of in inspections}) if "class_visualization" in chosen else []
    own = [name for name in _OF_AN_IMAGE if name in chosen]
    searched = min(candidates, len(source)) if source else 0
    with Progress("inspecting", len(labels) + len(own) * len(inspections), "pictures") as progress:
        first = [_filters(classifier)] if "filters" in chosen else []
        for label in labels:
            first.append(_class_visualization(classifier, label))
            progress.advance()
        rows: list[list[Panel]] = []
        for of in inspections:
            row = [panels.image_panel(of.pixels, of.heads["logits"], classifier.class_names)]
            for name in own:
                row.append(_OF_AN_IMAGE[name](of))
                progress.advance()
            rows.append(row)
    if source:
        with Progress("searching", searched) as progress:
            neighbors = nearest_training_images(
                classifier,
                [of.pixels for of in inspections],
                source,
                candidates=candidates,
                progress=progress.advance,
            )
        for row, found in zip(rows, neighbors, strict=True):
            row.append(panels.neighbors_panel(found, classifier.class_names, searched, len(source)))
    return [first, *rows]


def _save(
    rows: Sequence[Sequence[Panel]], images: Sequence[str | os.PathLike], directory: epath.Path
) -> list[str]:
    """Write the panels of the network to the directory, those of each image to one of its own."""
    places = [directory]
    for number, image in enumerate(images, start=1):
        stem = re.sub(r"[^\w.-]", "_", pathlib.PurePath(image).stem, flags=re.ASCII)
        places.append(directory / f"{number:02}_{stem[:40]}")
    files = []
    for place, row in zip(places, rows, strict=True):
        make_directory(place)
        for panel in row:
            files.append(place / f"{panel.name}.png")
            save_picture(draw_panel(panel), files[-1])
    files.append(directory / CONTACT_SHEET)
    save_picture(draw_contact_sheet([row for row in rows if row]), files[-1])
    return [str(file) for file in files]
