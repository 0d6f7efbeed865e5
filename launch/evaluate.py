"""Evaluate a checkpoint on the whole validation split, every image exactly once.

  python -m launch.evaluate --checkpoint=DIR
  python -m launch.evaluate --checkpoint=DIR --config.data.path=ANOTHER_PLACE

DIR is a run's workdir, for its last checkpoint, or a checkpoint in it.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.data import check_classes, open_source
from flax_googlenet.evaluation import Evaluator
from flax_googlenet.sharding import data_mesh
from launch import command

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN.",
    required=True,
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    classifier = flax_googlenet.load(_CHECKPOINT.value)
    config = command.override(classifier.config.to_dict())
    source = open_source(config.data, "val")
    check_classes(source, config.model.num_classes)
    figures = Evaluator(config, classifier.model, source, data_mesh())(classifier.variables)
    return {**figures, "models": 1, "crops": 1, "checkpoint": classifier.checkpoint}


if __name__ == "__main__":
    command.run(main, sections="data evaluation")
