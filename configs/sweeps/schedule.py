"""How should the learning rate decay?

Command    python -m launch.sweep --sweep=configs/sweeps/schedule.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep, paper_schedule


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row(
                "polynomial_0.5",
                {"schedule.name": "polynomial", "schedule.power": 0.5},
                "As in BVLC's quick solver.",
            ),
            Row("polynomial_1", {"schedule.name": "polynomial", "schedule.power": 1.0}, "Linear decay."),
            Row("step", paper_schedule(base), "As in section 6; shorter steps for short runs.", quick=False),
            Row("cosine", {"schedule.name": "cosine"}, "Half a period of a cosine."),
        ),
        rows,
    )
