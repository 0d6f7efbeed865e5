"""Average pooling or a fully connected layer before the classifier? The paper reports +0.6% for pooling.

Command    python -m launch.sweep --sweep=configs/sweeps/head.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("average", {"model.head": "average"}, "Global average pooling, as in the paper."),
            Row("fully_connected", {"model.head": "fully_connected"}, "1,024 units on the flattened map."),
        ),
        rows,
    )
