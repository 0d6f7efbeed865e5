"""How should the learning rate decay?

Command    python -m launch.sweep --sweep=configs/sweeps/schedule.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    step = {"schedule.name": "step", "schedule.decay_rate": 0.96, "schedule.decay_every": "8 epochs"}
    if base == "mnist_sample":  # whose runs are shorter than 8 epochs
        step |= {"schedule.decay_rate": 0.5, "schedule.decay_every": "1 epoch"}
    return Sweep(
        base,
        (
            Row(
                "polynomial_0.5",
                {"schedule.name": "polynomial", "schedule.power": 0.5},
                "As in BVLC's quick solver.",
            ),
            Row("polynomial_1", {"schedule.name": "polynomial", "schedule.power": 1.0}, "Linear decay."),
            Row("step", step, "As in section 6; shorter steps for short runs.", quick=False),
            Row("cosine", {"schedule.name": "cosine"}, "Half a period of a cosine."),
        ),
        rows,
    )
