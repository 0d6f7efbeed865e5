"""Which augmentation of the training images helps?

Command    python -m launch.sweep --sweep=configs/sweeps/augmentation.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep

CROPS = {"data.train_crop": "random_resized"}


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("center", {"data.train_crop": "center"}, "Center crops."),
            Row("crops", CROPS, "Crops of 8% to 100% of the area (section 6)."),
            Row("photometric", {**CROPS, "data.photometric": 0.5}, "Howard's distortions (section 6)."),
            Row("interpolation", {**CROPS, "data.train_interpolation": "random"}, "Random (section 6)."),
            Row("lighting", {**CROPS, "data.lighting": 0.1}, "Krizhevsky's noise in the color.", quick=False),
            Row("randaugment", {**CROPS, "data.randaugment": 2}, "Two operations of RandAugment."),
            Row("mixup", {**CROPS, "data.mixup": 0.2}, "Mixed pairs of images."),
            Row("cutmix", {**CROPS, "data.cutmix": 1.0}, "Boxes of other images.", quick=False),
            Row("erasing", {**CROPS, "data.erasing": 0.25}, "Erased boxes.", quick=False),
        ),
        rows,
    )
