"""A network with its weights, its preprocessing and its class names, from a checkpoint alone."""

import dataclasses
import functools
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from ml_collections import FrozenConfigDict

from flax_googlenet import checkpoints
from flax_googlenet.config import PREPROCESSING, resolve
from flax_googlenet.data import augmentation, decoding, preprocessing
from flax_googlenet.errors import UserError
from flax_googlenet.models import Network, build_model

Image = np.ndarray | str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Classifier:
    """What `load` gives.

    Attributes:
      model: the Flax module.
      variables: its "params" and "batch_stats"; averaged where the run averaged.
      config: the resolved config of the run.
      class_names: in the order of the probabilities.
      step: number of updates that made the weights.
      history: figures of the training so far, as in metrics.jsonl.
      checkpoint: the directory it came from.
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

    @property
    def metadata(self) -> dict[str, Any]:
        """How the weights expect their images, and where they come from."""
        return metadata(self.config, self.origin)

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
        return self._predict(images, batch_size, all_heads=False, progress=progress)["logits"]

    def predict_heads(
        self, images: Sequence[Image] | np.ndarray, batch_size: int = 32
    ) -> dict[str, np.ndarray]:
        """As `predict`, for each head: "logits", and "aux_4a" and "aux_4d" where the network has them."""
        return self._predict(images, batch_size, all_heads=True)

    def logits(self, variables: Any, images: jax.Array, *, all_heads: bool = False) -> dict[str, jax.Array]:
        """Logits of each head for uint8 images of the network's size; for use under `jax.jit`."""
        normalized = augmentation.normalize(images, self.config.data)
        outputs: Any = self.model.apply(variables, normalized, all_heads=all_heads)
        return dict(outputs)

    def _predict(
        self,
        images,
        batch_size: int,
        *,
        all_heads: bool,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        if isinstance(images, str | os.PathLike) or (isinstance(images, np.ndarray) and images.ndim == 3):
            raise TypeError("predict takes a sequence of images; put the one image into a list.")
        results: list[dict[str, np.ndarray]] = []
        for start in range(0, len(images), batch_size):
            pixels = [
                preprocessing.prepare(_pixels(image), self.config.data)
                for image in images[start : start + batch_size]
            ]
            missing = batch_size - len(pixels)  # padded: one shape, one compilation
            batch = np.pad(np.stack(pixels), ((0, missing), (0, 0), (0, 0), (0, 0)))
            heads = jax.device_get(self._forward(self.variables, batch, all_heads))
            results.append({name: value[: len(pixels)] for name, value in heads.items()})
            if progress:
                progress(len(pixels))
        if not results:
            heads = self.model.head_names if all_heads else ("logits",)
            return {head: np.zeros((0, len(self.class_names)), np.float32) for head in heads}
        return {head: np.concatenate([each[head] for each in results]) for head in results[0]}

    @functools.cached_property
    def _forward(self):
        def forward(variables, images, all_heads):
            outputs = self.logits(variables, images, all_heads=all_heads)
            return {head: jax.nn.softmax(logits) for head, logits in outputs.items()}

        return jax.jit(forward, static_argnums=2)


def _pixels(image: Image) -> np.ndarray:
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise TypeError(f"An image is uint8 [height, width, 3]; got {image.dtype} {image.shape}.")
        return image
    try:
        encoded = pathlib.Path(image).expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"{image} cannot be read: {error.strerror}; check the path.") from error
    return decoding.decode(encoded, str(image))


def metadata(config: FrozenConfigDict, origin: Mapping[str, str]) -> dict[str, Any]:
    """How weights expect their images, and where they come from.

    Args:
      config: of the run, or of the import.
      origin: see `checkpoints.Description`.
    """
    preprocessing = {key: config.data[key] for key in PREPROCESSING}
    return {**preprocessing, "source": "a run of flax_googlenet", **origin}


def load(path: str | os.PathLike) -> Classifier:
    """Open a checkpoint: no config file, data set or matching device count needed.

    Args:
      path: a run's workdir (its last checkpoint), a checkpoint in it, or an address
        such as gs://bucket/run.

    Raises:
      UserError: there is no checkpoint, or a file of it is damaged.
    """
    checkpoint = checkpoints.find(os.fspath(path))
    description = checkpoints.describe(checkpoint)
    config = resolve(description.config)
    model = build_model(config.model)
    variables = checkpoints.load_weights(checkpoint, variable_shapes(model, config.data.image_size))
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
