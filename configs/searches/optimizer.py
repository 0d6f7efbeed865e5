"""Which learning rate, warm-up, momentum and weight decay give the best accuracy?

Command    python -m launch.sweep --search=configs/searches/optimizer.py:base=mnist_sample \
               --trials=20 --workdir=DIR
"""

from flax_googlenet.sweeps import Choice, Range, Search


def get_search(base: str = "mnist_sample") -> Search:
    return Search(
        base,
        {
            "optimizer.learning_rate": Range(1e-3, 1e-1, log=True),
            "optimizer.momentum": Range(0.8, 0.98),
            "optimizer.weight_decay": Range(1e-5, 1e-3, log=True),
            "schedule.warmup": Choice("0 steps", "50 steps", "1 epoch"),
        },
    )
