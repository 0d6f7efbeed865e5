"""The loaders to compare, each an endless iterator of batches of training crops.

All shuffle the same image folder, draw crops of 8-100 % of the area with an aspect ratio of 3/4 to 4/3,
resize them to 224x224 and return uint8. Each decodes and resizes as its library recommends.
"""

import math
import pathlib
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import jax
import numpy as np

from benchmarks.image_folders import shrink_folder
from flax_googlenet.config import resolve
from flax_googlenet.data import TrainBatches, open_source, to_devices
from flax_googlenet.data.images import jpeg
from flax_googlenet.data.images.boxes import random_resized_box
from flax_googlenet.data.order import crop_uniforms
from flax_googlenet.sharding import data_mesh, split_batch

SIZE = 224
AREA, ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)

Batches = Iterator[Any]  # pairs of images and labels


def ours(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of this project, on the device."""
    data = resolve({"data": {"path": str(folder), "workers": workers}}).data
    batches = TrainBatches(open_source(data, "train"), data, seed=0, batch_size=batch_size)
    for batch in to_devices(batches, range(10**9), split_batch(data_mesh())):
        yield batch["image"], batch["label"]


def ours_whole(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of this project without the package nvimgcodec, which decodes whole files."""
    jpeg.import_nvimgcodec = lambda: None
    return ours(folder, batch_size, workers)


def ours_small(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of this project from images shrunk as by `launch.prepare --shorter_side=256`."""
    return ours(shrink_folder(folder), batch_size, workers)


def tf_data(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of tf.data: decode_and_crop_jpeg as in flax/examples/imagenet, bilinear resizing."""
    import tensorflow as tf

    files = sorted(map(str, folder.glob("train/*/*")))
    names = sorted({pathlib.Path(file).parent.name for file in files})
    labels = [names.index(pathlib.Path(file).parent.name) for file in files]

    def window(shape: Any) -> Any:
        """Return the first of ten proposals that fits; sample_distorted_bounding_box draws smaller ones."""
        height, width = tf.cast(shape[0], tf.float32), tf.cast(shape[1], tf.float32)
        draws = tf.random.uniform((10, 4))
        area = height * width * (AREA[0] + (AREA[1] - AREA[0]) * draws[:, 0])
        aspect = tf.exp((2 * draws[:, 1] - 1) * math.log(ASPECT[1]))
        rows, columns = tf.round(tf.sqrt(area / aspect)), tf.round(tf.sqrt(area * aspect))
        rows = tf.where(rows <= height, rows, 0)
        fits = (rows > 0) & (columns <= width)
        chosen = tf.argmax(tf.cast(fits, tf.int32))
        rows, columns = tf.minimum(rows[chosen], height), tf.minimum(columns[chosen], width)
        rows = tf.where(rows > 0, rows, height)
        top, left = draws[chosen, 2] * (height - rows + 1), draws[chosen, 3] * (width - columns + 1)
        return tf.cast(tf.stack([top, left, rows, columns]), tf.int32)

    def load(file: Any, label: Any) -> Any:
        encoded = tf.io.read_file(file)
        box = window(tf.image.extract_jpeg_shape(encoded))
        image = tf.image.decode_and_crop_jpeg(encoded, box, channels=3)
        image = tf.image.resize(image, (SIZE, SIZE), method="bilinear")
        return tf.cast(tf.round(image), tf.uint8), label

    dataset = tf.data.Dataset.from_tensor_slices((files, labels)).repeat().shuffle(len(files))
    dataset = dataset.map(load, num_parallel_calls=workers).batch(batch_size).prefetch(2)
    options = tf.data.Options()
    options.threading.private_threadpool_size = workers
    options.threading.max_intra_op_parallelism = 1
    return iter(dataset.with_options(options).as_numpy_iterator())


def torchvision(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of torchvision's ImageFolder and RandomResizedCrop, by a DataLoader with processes."""
    import torch
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [transforms.RandomResizedCrop(SIZE, scale=AREA, ratio=ASPECT), transforms.PILToTensor()]
    )
    dataset = datasets.ImageFolder(str(folder / "train"), transform)
    # A single long epoch, as worker processes start again with every epoch.
    sampler = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=10**7)
    loader = torch.utils.data.DataLoader(dataset, batch_size, sampler=sampler, num_workers=workers)
    return ((images.numpy(), labels.numpy()) for images, labels in loader)


class _Load:
    """A transformation from a file to a crop with OpenCV, for the processes of Grain."""

    def __init__(self, files: list[str]) -> None:
        self.files = files
        self.names = sorted({pathlib.Path(file).parent.name for file in files})

    def __call__(self, index: int) -> tuple[np.ndarray, int]:
        cv2.setNumThreads(1)
        file = pathlib.Path(self.files[index])
        image: Any = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
        (uniforms,) = crop_uniforms(0, [(random.randrange(2**31), index)]).tolist()
        top, left, height, width = random_resized_box(image.shape[0], image.shape[1], uniforms)
        crop = image[top : top + height, left : left + width]
        return cv2.resize(crop, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), self.names.index(
            file.parent.name
        )


def grain(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of Grain with worker processes and OpenCV."""
    from grain import python as pygrain

    files = sorted(map(str, folder.glob("train/*/*")))
    dataset = pygrain.MapDataset.source(range(len(files))).seed(0).shuffle().repeat().map(_Load(files))
    batched = dataset.to_iter_dataset().batch(batch_size)
    return iter(batched.mp_prefetch(pygrain.MultiprocessingOptions(num_workers=workers)))


def dali(folder: pathlib.Path, batch_size: int, workers: int) -> Batches:
    """Return batches of NVIDIA DALI's CPU pipeline."""
    from nvidia.dali import fn, pipeline_def

    @pipeline_def(batch_size=batch_size, num_threads=workers, device_id=None, seed=0)
    def pipeline() -> Any:
        encoded, labels = fn.readers.file(file_root=str(folder / "train"), random_shuffle=True)
        crops = fn.decoders.image_random_crop(
            encoded, device="cpu", random_area=list(AREA), random_aspect_ratio=list(ASPECT)
        )
        return fn.resize(crops, resize_x=SIZE, resize_y=SIZE), labels

    pipe = pipeline()
    pipe.build()
    while True:
        images, labels = pipe.run()
        yield images.as_array(), labels.as_array()


class Loader(NamedTuple):
    """A loader to measure.

    Attributes:
      description: its row in the table.
      module: the module it needs.
      make: returns its batches, from the directory, the batch size and the number of workers.
    """

    description: str
    module: str
    make: Callable[[pathlib.Path, int, int], Batches]


LOADERS = {
    "ours": Loader("ours, with nvimgcodec", "nvidia.nvimgcodec", ours),
    "ours_whole": Loader("ours, without it", "simplejpeg", ours_whole),
    "ours_small": Loader("ours, copies with a shorter side of 256", "nvidia.nvimgcodec", ours_small),
    "tf_data": Loader("tf.data, decode_and_crop_jpeg", "tensorflow", tf_data),
    "torchvision": Loader("torchvision's ImageFolder, DataLoader with processes", "torchvision", torchvision),
    "grain": Loader("Grain with processes, OpenCV", "grain", grain),
    "dali": Loader("DALI, CPU pipeline", "nvidia.dali", dali),
}


def to_device(batch: Any) -> Any:
    """Put a batch on the device and block until the transfer is complete."""
    return jax.block_until_ready(jax.device_put(batch))
