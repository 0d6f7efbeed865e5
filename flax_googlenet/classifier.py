"""Classifiers: trained networks with their preprocessing and class names, loaded from checkpoints."""

import dataclasses
import functools
import os
import pathlib
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PyTree, UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints, inference
from flax_googlenet.config import PREPROCESSING, resolve
from flax_googlenet.data.images import decoding
from flax_googlenet.data.images.resizing import resize_and_crop
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.models import Network, build_model
from flax_googlenet.runtime import compilation
from flax_googlenet.table import RowKind
from flax_googlenet.workers import read_file_in_time

# Arrays are checked at run time too, since most users do not run a type checker.
Image = np.ndarray | str | os.PathLike
BatchFunction = Callable[[Mapping[str, PyTree], UInt8[np.ndarray, "batch height width 3"]], PyTree]


@dataclasses.dataclass(frozen=True, repr=False)
class Classifier:
    """A network that is ready to classify images.

    Attributes:
      model: the Flax module.
      variables: its "params" and "batch_stats", averaged if the run averaged its weights.
      config: the resolved config of the run.
      class_names: names of the classes, in the order of the probabilities.
      step: number of updates that the weights have had.
      history: records of the training up to that step, as in metrics.jsonl.
      checkpoint: directory of the checkpoint, or the file that `load_pretrained` read.
      origin: where imported weights come from; see `checkpoints.Description`.
    """

    model: Network
    variables: Mapping[str, PyTree]
    config: FrozenConfigDict
    class_names: tuple[str, ...]
    step: int
    history: Sequence[Mapping[str, int | float]]
    checkpoint: str
    origin: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        names = textwrap.shorten(", ".join(self.class_names), width=60, placeholder=" …")
        lines = {
            "variant": self.config.model.variant,
            "classes": f"{len(self.class_names)} ({names})",
            "parameters": f"{self.params:,}",
            "image size": self.config.data.image_size,
            "step": self.step,
            "checkpoint": self.checkpoint,
        }
        return "Classifier(\n" + "".join(f"    {name}: {value}\n" for name, value in lines.items()) + ")"

    @property
    def params(self) -> int:
        """Number of parameters at inference, without the auxiliary heads."""
        modules = self.variables["params"].items()
        trees = [tree for name, tree in modules if not name.startswith("aux_")]
        return sum(leaf.size for leaf in jax.tree.leaves(trees))

    @property
    def metadata(self) -> dict[str, Any]:
        """The preprocessing that the weights expect, and their origin."""
        preprocessing = {key: self.config.data[key] for key in PREPROCESSING}
        return {**preprocessing, "source": "a run of flax_googlenet", **self.origin}

    def predict(
        self,
        images: Sequence[Image] | np.ndarray,
        batch_size: int = 32,
        progress: Callable[[int], None] | None = None,
    ) -> Float[np.ndarray, "images classes"]:
        """Return the class probabilities of images.

        Images are resized and cropped as in the evaluation of the run.

        Args:
          images: paths of image files, RGB arrays uint8 [height, width, 3] of any size, or one
            array uint8 [images, height, width, 3].
          batch_size: number of images in a forward pass.
          progress: called after every batch with its number of images.

        Raises:
          UserError: if a file cannot be read or is not an image.
        """
        function = functools.partial(self._probabilities, all_heads=False)
        heads: dict[str, np.ndarray] = self._in_batches(function, images, batch_size, progress)
        return heads["logits"]

    def predict_heads(
        self, images: Sequence[Image] | np.ndarray, batch_size: int = 32
    ) -> dict[str, Float[np.ndarray, "images classes"]]:
        """Return the class probabilities of every head.

        Args:
          images, batch_size: as in `predict`.

        Returns:
          The probabilities by head: "logits" for the main head, and "aux_4a" and "aux_4d" if
          the network has them.

        Raises:
          UserError: if a file cannot be read or is not an image.
        """
        function = functools.partial(self._probabilities, all_heads=True)
        heads: dict[str, np.ndarray] = self._in_batches(function, images, batch_size)
        return heads

    def features(
        self, images: Sequence[Image] | np.ndarray, layer: str | None = None, batch_size: int = 32
    ) -> Float[np.ndarray, "images ..."]:
        """Return embeddings of images: the output of a row of the network's table.

        Args:
          images, batch_size: as in `predict`.
          layer: name of the row, such as "inception_4a". The default is the last row before
            the classifying layer and its dropout: for GoogLeNet "avg_pool", with 1,024
            features per image.

        Returns:
          An array [images, features], or [images, height, width, features] for a row whose
          output is a feature map.

        Raises:
          UserError: if the network has no such row, or a file cannot be read or is not an image.
        """
        rows = {row.name: row.kind for row in self.model.rows}
        if layer is None:
            layer = next(
                name for name in reversed(rows) if rows[name] not in (RowKind.DROPOUT, RowKind.LINEAR)
            )
        if layer not in rows:
            raise UserError(f'The network has no row "{layer}"; {did_you_mean(layer, rows)}')
        features: np.ndarray = self._in_batches(functools.partial(self._row, row=layer), images, batch_size)
        return features

    def logits(
        self,
        variables: Mapping[str, PyTree],
        images: UInt8[Array, "batch height width 3"],
        *,
        all_heads: bool = False,
    ) -> dict[str, Float[Array, "batch classes"]]:
        """Return the logits of each head for images of the network's size; for use under `jax.jit`."""
        return inference.compute_logits(self.model, variables, images, self.config.data, all_heads=all_heads)

    def _in_batches(
        self,
        function: BatchFunction,
        images: Sequence[Image] | np.ndarray,
        batch_size: int,
        progress: Callable[[int], None] | None = None,
    ) -> PyTree:
        """Return `function(variables, batch)` for all images, prepared batch by batch."""
        if isinstance(images, str | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim == 3):
            raise TypeError("Expected a sequence of images; put a single image into a list.")
        results = []
        size = self.config.data.image_size
        for start in range(0, max(len(images), 1), batch_size):  # no images take a batch too, for the shapes
            # The last batch is padded, which avoids compiling for another shape.
            batch = np.zeros((batch_size, size, size, 3), np.uint8)
            some = images[start : start + batch_size]
            for row, image in zip(batch, some, strict=False):
                row[...] = resize_and_crop(read_pixels(image), self.config.data)
            outputs = jax.device_get(function(self._prepared, batch))
            count = len(some)
            results.append(jax.tree.map(lambda value, count=count: value[:count], outputs))
            if progress and count:
                progress(count)
        return jax.tree.map(lambda *values: np.concatenate(values), *results)

    @functools.cached_property
    def _prepared(self) -> Mapping[str, PyTree]:
        """The variables, with the filters that inference uses."""
        return inference.prepare(self.model, self.variables, self.config.data.image_size)

    @functools.cached_property
    def _probabilities(self) -> Callable[..., dict[str, Array]]:
        def forward(variables, images, all_heads: bool):
            outputs = self.logits(variables, images, all_heads=all_heads)
            return {head: jax.nn.softmax(logits) for head, logits in outputs.items()}

        return compilation.jit(forward, static_argnames="all_heads")

    @functools.cached_property
    def _row(self) -> Callable[..., Array]:
        def forward(variables, images, row: str):
            return inference.compute_row(self.model, variables, images, self.config.data, row)

        return compilation.jit(forward, static_argnames="row")


def read_pixels(image: Image) -> UInt8[np.ndarray, "height width 3"]:
    """Return an array unchanged, or read an image from its file.

    Raises:
      UserError: if the file cannot be read or is not an image.
    """
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise TypeError(f"Expected an image, uint8 [height, width, 3]; got {image.dtype} {image.shape}.")
        return image
    try:
        encoded = read_file_in_time(pathlib.Path(image).expanduser())
    except OSError as error:
        raise UserError(f"{image} cannot be read: {error.strerror}; check the path.") from error
    return decoding.decode(encoded, str(image))


def load(path: str | os.PathLike) -> Classifier:
    """Load a checkpoint, without a config file or a data set, on any number of devices.

    Args:
      path: a run's workdir, for its last checkpoint; a checkpoint; or an address of either,
        such as gs://bucket/run.

    Raises:
      UserError: if there is no checkpoint, or it is corrupt.
    """
    with checkpoints.opened(path, checkpoints.EVALUATION_ITEMS) as checkpoint:
        description = checkpoints.describe(checkpoint)
        config = resolve(description.config)
        model = build_model(config.model)
        variables = checkpoints.read_weights(checkpoint, variable_shapes(model, config.data.image_size))
    return Classifier(
        model,
        variables,
        config,
        class_names=description.class_names,
        step=description.step,
        history=description.history,
        checkpoint=os.fspath(path) if "://" in os.fspath(path) else str(checkpoint),
        origin=description.origin,
    )


def variable_shapes(model: nn.Module, image_size: int) -> dict[str, PyTree]:
    """Return the shapes of a network's variables, placed on the first device of this host."""
    images = jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    first_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    placed: dict[str, PyTree] = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=first_device), shapes
    )
    return placed


def top_classes(
    probabilities: Float[np.ndarray, " classes"], class_names: Iterable[str], count: int = 5
) -> list[dict[str, Any]]:
    """Return the most likely classes of an image, best first.

    Args:
      probabilities: as `Classifier.predict` returns them for one image.
      class_names: names of the classes, in the same order.
      count: number of classes to return.

    Returns:
      For each class its "label", "name" and "probability".
    """
    names = tuple(class_names)
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [
        {"label": int(label), "name": names[label], "probability": float(probabilities[label])}
        for label in order
    ]
