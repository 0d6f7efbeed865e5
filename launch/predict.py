"""Classify image files.

  python -m launch.predict --checkpoint=DIR IMAGE [IMAGE ...]

Images are resized, cropped and normalized as in the evaluation of the checkpoint's run. The result
has the most probable classes of every image.
"""

import sys
from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.classifier import top_classes
from flax_googlenet.progress import Progress
from launch.common import command

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN.",
    required=True,
)
_TOP = flags.DEFINE_integer("top", 5, "Number of classes to print per image.", lower_bound=1)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    if not arguments:
        raise flax_googlenet.UserError("There is no image to classify; name files after the flags.")
    command.refuse_weights_file(_CHECKPOINT.value)
    classifier = flax_googlenet.load(_CHECKPOINT.value)
    with Progress("predicting", len(arguments)) as progress, without_alarms():
        probabilities = classifier.predict(arguments, progress=progress.advance)
    predictions: list[dict[str, Any]] = [
        {"path": path, "classes": top_classes(row, classifier.class_names, _TOP.value)}
        for path, row in zip(arguments, probabilities, strict=True)
    ]
    for prediction in predictions:
        best = prediction["classes"][0]
        print(f"{prediction['path']}: {best['name']} ({best['probability']:.1%})", file=sys.stderr)
    return {"images": predictions}


if __name__ == "__main__":
    command.run(main)
