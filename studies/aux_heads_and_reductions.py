"""Do the auxiliary heads help, and does the dimension reduction cost accuracy? Sections 4 and 5 of the paper.

Digits         python -m launch.sweep --sweep=studies/aux_heads_and_reductions.py:data=digits \
                   --seeds=5 --workdir=DIR
Photographs    python -m launch.sweep --sweep=studies/aux_heads_and_reductions.py:data=photographs \
                   --seeds=5 --workdir=DIR --config.data.path=FOLDER --config.model.num_classes=10
Rows           the paper's network without normalization, the same without auxiliary heads, and the same
               without the 1x1 reductions before its 3x3 and 5x5 convolutions. Everything else is that of
               configs/mnist_sample.py. Photographs are cropped at random sizes and mirrored
"""

from typing import Any, Literal

from flax_googlenet.sweeps import Row, Sweep

DATA: dict[str, dict[str, Any]] = {
    "digits": {"data.image_size": 32, "data.resize": 32, "duration": "5 epochs"},
    "photographs": {
        "data.source": "image_folder",
        "data.image_size": 40,
        "data.resize": 45,  # an eighth more, as with 224 and 256
        "data.train_crop": "random_resized",
        "data.mirror": True,
        "data.mean": (123.675, 116.28, 103.53),
        "data.std": (58.395, 57.12, 57.375),
        "duration": "20 epochs",
    },
}


def get_sweep(data: Literal["digits", "photographs"] = "digits") -> Sweep:
    """Return the rows, with what the data need shared by all."""
    return Sweep(
        "mnist_sample",
        (
            Row("paper", {}, "Two auxiliary heads, and 1x1 reductions."),
            Row("no_aux_heads", {"model.aux_heads": 0}, "The main head only."),
            # The projection after the pooling stays, since maps would grow from module to module without it.
            Row(
                "no_reductions",
                {"model.reduce3x3": False, "model.reduce5x5": False},
                "3x3 and 5x5 convolutions that read all channels.",
            ),
        ),
        shared=DATA[data],
    )
