"""Images: sources of encoded bytes, decoding and crops on the host, augmentation on the device, batches."""

from flax_googlenet.data.batches import EvaluationBatches, TrainBatches, to_devices
from flax_googlenet.data.examples import Example, Source
from flax_googlenet.data.sources.classes import check_same_classes
from flax_googlenet.data.sources.opening import check_classes, open_source

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
