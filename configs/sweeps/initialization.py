"""How should kernels and biases be initialized?

Command    python -m launch.sweep --sweep=configs/sweeps/initialization.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("xavier", {"model.initializer": "xavier", "model.initial_bias": 0.0}, "Xavier uniform."),
            Row("xavier_bias", {"model.initializer": "xavier", "model.initial_bias": 0.2}, "BVLC's."),
            Row("he", {"model.initializer": "he", "model.initial_bias": 0.0}, "He normal."),
        ),
        rows,
    )
