"""The networks that go by the name of GoogLeNet, and VGG-16, with the recipe of the base config.

Command    python -m launch.sweep --sweep=configs/sweeps/versus.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def network(variant: str, normalization: str) -> dict[str, str]:
    """Return the overrides for a variant, whose normalization the base config may have replaced."""
    return {"model.variant": variant, "model.normalization": normalization}


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("paper", network("paper", "lrn"), "Table 1."),
            Row("bvlc", network("bvlc", "lrn"), "Caffe's Model Zoo."),
            Row("torchvision", network("torchvision", "batch"), "torchvision.models.googlenet."),
            Row("bn", network("bn", "batch"), "Table 1 with batch normalization."),
            Row("naive", network("naive", "lrn"), "Table 1 without dimension reductions.", quick=False),
            Row("vgg16", network("vgg16", "none"), "Configuration D of VGG.", quick=False),
        ),
        rows,
    )
