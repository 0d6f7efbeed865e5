"""Local response normalization, batch normalization, or none?

Command    python -m launch.sweep --sweep=configs/sweeps/normalization.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("lrn", {"model.normalization": "lrn"}, "At the two places of Figure 3."),
            Row("none", {"model.normalization": "none"}, "No normalization."),
            Row("batch", {"model.normalization": "batch"}, "After every convolution."),
        ),
        rows,
    )
