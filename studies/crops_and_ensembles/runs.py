"""Runs on photographs whose crops and ensembles can be compared.

  python -m launch.sweep --sweep=studies/crops_and_ensembles/runs.py --seeds=3 --workdir=DIR \
      --config.data.path=FOLDER --config.model.num_classes=25

The sweep has one row, and its runs differ in their seeds. They average their weights, as the paper's did.
Two images of five are held out, since the gains are small.
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep() -> Sweep:
    """Return the row, and what small photographs need."""
    return Sweep(
        "imagenet",
        (Row("torchvision", {"model.variant": "torchvision"}, "torchvision's network."),),
        shared={
            "batch_size": 32,
            "duration": "40 epochs",
            "log_every": "25 steps",
            "data.image_size": 64,
            "data.resize": 73,  # a seventh more, as with 224 and 256
            "data.val_share": 0.4,
            "model.initial_bias": 0.0,
            "optimizer.learning_rate": 0.02,
            "schedule.name": "cosine",
            "averaging.kind": "ema",
            "averaging.decay": 0.99,
            "evaluation.every": "5 epochs",
            "evaluation.batch_size": 100,
        },
    )
