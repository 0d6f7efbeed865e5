"""Does an average of the weights over the run do better than the last weights? Section 6 uses Polyak's.

Command    python -m launch.sweep --sweep=configs/sweeps/averaging.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    is_short = base == "mnist_sample"
    late = {"averaging.kind": "polyak", "averaging.start": "3 epochs" if is_short else "40 epochs"}
    ema = {"averaging.kind": "ema", "averaging.decay": 0.99 if is_short else 0.9999}
    return Sweep(
        base,
        (
            Row("none", {"averaging.kind": "none"}, "The last weights."),
            Row("ema", ema, "An exponential average."),
            Row("polyak", {"averaging.kind": "polyak"}, "The mean over the whole run."),
            Row("polyak_late", late, "The mean over the last third or so of the run.", quick=False),
        ),
        rows,
    )
