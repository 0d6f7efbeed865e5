"""A network with its weights, its preprocessing and its class names, from a checkpoint alone."""

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
from flax.traverse_util import flatten_dict
from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.config import PREPROCESSING, resolve
from flax_googlenet.data import augmentation
from flax_googlenet.data.images import decoding, preprocessing
from flax_googlenet.errors import UserError, did_you_mean
from flax_googlenet.models import Network, build_model
from flax_googlenet.table import RowKind
from flax_googlenet.workers import read_file_in_time

Image = np.ndarray | str | os.PathLike


@dataclasses.dataclass(frozen=True, repr=False)
class Classifier:
    """What `load` gives.

    Attributes:
      model: the Flax module.
      variables: its "params" and "batch_stats"; averaged where the run averaged.
      config: the resolved config of the run.
      class_names: in the order of the probabilities.
      step: number of updates that made the weights.
      history: figures of the training so far, as in metrics.jsonl.
      checkpoint: the directory it came from; of `load_pretrained`, the file.
      origin: of weights that came from outside; see `checkpoints.Description`.
    """

    model: Network
    variables: Mapping[str, Any]
    config: FrozenConfigDict
    class_names: tuple[str, ...]
    step: int
    history: Sequence[Mapping[str, float]]
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
        """Number of parameters at inference: without the auxiliary heads."""
        modules = self.variables["params"].items()
        trees = [tree for name, tree in modules if not name.startswith("aux_")]
        return sum(leaf.size for leaf in jax.tree.leaves(trees))

    @property
    def metadata(self) -> dict[str, Any]:
        """How the weights expect their images, and where they come from."""
        preprocessing = {key: self.config.data[key] for key in PREPROCESSING}
        return {**preprocessing, "source": "a run of flax_googlenet", **self.origin}

    def predict(
        self,
        images: Sequence[Image] | np.ndarray,
        batch_size: int = 32,
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Probabilities of the classes.

        Args:
          images: paths of image files, or uint8 arrays [height, width, 3], red first,
            of any size; or one uint8 array [batch, height, width, 3]. They are resized
            and cropped as in the run's evaluation.
          batch_size: images at once on the device.
          progress: is told of every batch how many images it had, once it is done.

        Returns:
          float32 [len(images), classes]; rows sum to 1.

        Raises:
          UserError: a file is not there or not an image.
        """
        heads = self._in_batches(self._heads, images, batch_size, False, progress)
        probabilities: np.ndarray = heads["logits"]
        return probabilities

    def predict_heads(
        self, images: Sequence[Image] | np.ndarray, batch_size: int = 32
    ) -> dict[str, np.ndarray]:
        """As `predict`, for each head: "logits", and "aux_4a" and "aux_4d" where the network has them."""
        heads: dict[str, np.ndarray] = self._in_batches(self._heads, images, batch_size, True)
        return heads

    def features(
        self, images: Sequence[Image] | np.ndarray, layer: str | None = None, batch_size: int = 32
    ) -> np.ndarray:
        """Embeddings of images: the output of a row of the network's table.

        Args:
          images, batch_size: as `predict` takes them.
          layer: name of a row, such as "inception_4a". By default the last one with
            features, which the dropout and the last layer read: of GoogLeNet
            "avg_pool", 1,024 numbers an image.

        Returns:
          float32 [len(images), features], or of a row that keeps the map's sides
          [len(images), height, width, features].

        Raises:
          UserError: the network has no such row; or as `predict`.
        """
        rows = {row.name: row.kind for row in self.model.rows}
        if layer is None:
            layer = next(
                name for name in reversed(rows) if rows[name] not in (RowKind.DROPOUT, RowKind.LINEAR)
            )
        if layer not in rows:
            raise UserError(f'The network has no row "{layer}"; {did_you_mean(layer, rows)}')
        found: np.ndarray = self._in_batches(self._row, images, batch_size, layer)
        return found

    def logits(self, variables: Any, images: jax.Array, *, all_heads: bool = False) -> dict[str, jax.Array]:
        """Logits of each head for uint8 images of the network's size; for use under `jax.jit`."""
        normalized = augmentation.normalize(images, self.config.data)
        outputs: Any = self.model.apply(variables, normalized, all_heads=all_heads)
        return dict(outputs)

    def _in_batches(
        self,
        function: Any,
        images: Any,
        batch_size: int,
        option: Any,
        progress: Callable[[int], None] | None = None,
    ) -> Any:
        """Return `function(variables, batch, option)` of all images, which are prepared a batch at a time."""
        if isinstance(images, str | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim == 3):
            raise TypeError("It takes a sequence of images; put the one image into a list.")
        results = []
        for start in range(0, len(images), batch_size):
            pixels = [
                preprocessing.prepare(_pixels(image), self.config.data)
                for image in images[start : start + batch_size]
            ]
            count = len(pixels)
            missing = batch_size - count  # padded: one shape, one compilation
            batch = np.pad(np.stack(pixels), ((0, missing), (0, 0), (0, 0), (0, 0)))
            padded = jax.device_get(function(self.variables, batch, option))
            results.append(jax.tree.map(lambda value, count=count: value[:count], padded))
            if progress:
                progress(count)
        if not results:
            size = self.config.data.image_size
            none = jax.ShapeDtypeStruct((0, size, size, 3), np.uint8)
            shapes = jax.eval_shape(functools.partial(function, option=option), self.variables, none)
            return jax.tree.map(lambda shape: np.zeros(shape.shape, shape.dtype), shapes)
        return jax.tree.map(lambda *values: np.concatenate(values), *results)

    @functools.cached_property
    def _heads(self) -> Any:
        def forward(variables, images, option: bool):
            outputs = self.logits(variables, images, all_heads=option)
            return {head: jax.nn.softmax(logits) for head, logits in outputs.items()}

        return jax.jit(forward, static_argnames="option")

    @functools.cached_property
    def _row(self) -> Any:
        def forward(variables, images, option: str):
            normalized = augmentation.normalize(images, self.config.data)
            _, sown = self.model.apply(variables, normalized, mutable=["intermediates"])
            outputs = {path[-1]: values[0] for path, values in flatten_dict(sown["intermediates"]).items()}
            return outputs[f"{option}_output"].astype(jnp.float32)

        return jax.jit(forward, static_argnames="option")


def _pixels(image: Image) -> np.ndarray:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise TypeError(f"An image is uint8 [height, width, 3]; got {image.dtype} {image.shape}.")
        return image
    try:
        encoded = read_file_in_time(pathlib.Path(image).expanduser())
    except OSError as error:
        raise UserError(f"{image} cannot be read: {error.strerror}; check the path.") from error
    return decoding.decode(encoded, str(image))


def load(path: str | os.PathLike) -> Classifier:
    """Open a checkpoint: no config file, data set or matching device count needed.

    Args:
      path: a run's workdir (its last checkpoint), a checkpoint in it, or an address
        such as gs://bucket/run.

    Raises:
      UserError: there is no checkpoint, or a file of it is damaged.
    """
    with checkpoints.opened(os.fspath(path)) as checkpoint:
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


def variable_shapes(model: nn.Module, image_size: int) -> dict[str, Any]:
    """Shapes of a model's variables, placed on the first device of this host."""
    shapes = jax.eval_shape(
        model.init, jax.random.key(0), jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    )
    here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    place: Any = lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here)  # noqa: E731
    placed: dict[str, Any] = jax.tree.map(place, shapes)
    return placed


def top_classes(
    probabilities: np.ndarray, class_names: Iterable[str], count: int = 5
) -> list[dict[str, Any]]:
    """The likeliest classes of one image: "label", "name" and "probability", best first."""
    names = tuple(class_names)
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [{"label": int(i), "name": names[i], "probability": float(probabilities[i])} for i in order]
