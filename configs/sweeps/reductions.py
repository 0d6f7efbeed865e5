"""What do the dimension reductions of the Inception modules save, and do they cost accuracy? Section 4.

Command    python -m launch.sweep --sweep=configs/sweeps/reductions.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep

PAPER = {"model.reduce3x3": True, "model.reduce5x5": True, "model.project_pool": True}


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("paper", PAPER, "The modules of Figure 2b."),
            Row("without_3x3", {**PAPER, "model.reduce3x3": False}, "No 1x1 before the 3x3."),
            Row("without_5x5", {**PAPER, "model.reduce5x5": False}, "No 1x1 before the 5x5."),
            Row("without_pool", {**PAPER, "model.project_pool": False}, "No 1x1 after the pooling."),
            Row("naive", dict.fromkeys(PAPER, False), "The modules of Figure 2a.", quick=False),
        ),
        rows,
    )
