"""Data: sources of encoded images, decoding on the host, batches, and augmentation on the device."""

from flax_googlenet.data.batches import EvaluationBatches, TrainBatches
from flax_googlenet.data.examples import Example, Source
from flax_googlenet.data.prefetch import to_devices
from flax_googlenet.data.sources.classes import check_classes, check_same_classes
from flax_googlenet.data.sources.opening import open_source

__all__ = [
    "EvaluationBatches",
    "Example",
    "Source",
    "TrainBatches",
    "check_classes",
    "check_same_classes",
    "open_source",
    "to_devices",
]
