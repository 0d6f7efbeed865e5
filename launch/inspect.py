"""Draw what a network has learned, and what it looks at in images.

  python -m launch.inspect --checkpoint=DIR --out=DIR IMAGE [IMAGE ...]
  python -m launch.inspect --checkpoint=DIR --out=DIR --pictures=grad_cam,occlusion --class=cat IMAGE

Pictures of the network: filters, class_visualization. Pictures of each image: heads, activations,
grad_cam, saliency, smooth_grad, integrated_gradients, occlusion, deep_dream, nearest. Each is a PNG with a
caption, and contact_sheet.png has all of them. The nearest training images need the training data.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

import flax_googlenet
from flax_googlenet.runtime import compilation
from launch.common import command

_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "Workdir of a run, a checkpoint in it, or gs://BUCKET/RUN.",
    required=True,
)
_OUT = flags.DEFINE_string("out", None, "Directory for the pictures.", required=True)
_PICTURES = flags.DEFINE_list(
    "pictures", None, "Pictures to draw, as A,B,C; by default, all that apply to the network."
)
_CLASS = flags.DEFINE_string(
    "class", None, "Class to explain, by name or number; by default, the predicted one."
)
_LAYER = flags.DEFINE_string(
    "layer", None, "Layer of Grad-CAM; by default, the last one whose map has at least 7x7 pixels."
)
_CANDIDATES = flags.DEFINE_integer(
    "candidates", 1000, "Number of training images to search for the nearest ones.", lower_bound=1
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    if not arguments:
        raise flax_googlenet.UserError("There is no image to inspect; name files after the flags.")
    command.refuse_weights_file(_CHECKPOINT.value)
    from flax_googlenet.inspection.inspect import inspect  # imports matplotlib, which takes a second

    with compilation.without_alarms():
        return inspect(
            flax_googlenet.load(_CHECKPOINT.value),
            arguments,
            _OUT.value,
            pictures=_PICTURES.value,
            class_name=_CLASS.value,
            layer=_LAYER.value,
            data=command.overrides()["data"],
            candidates=_CANDIDATES.value,
        )


if __name__ == "__main__":
    command.run(main, sections=("data",))
