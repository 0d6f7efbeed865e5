"""Do the auxiliary heads help, which one, and with which weight? Section 5 of the paper.

Command    python -m launch.sweep --sweep=configs/sweeps/aux_heads.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
"""

from flax_googlenet.sweeps import Row, Sweep


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("both", {"model.aux_heads": 2, "loss.aux_weight": 0.3}, "The paper's heads and weight."),
            Row("none", {"model.aux_heads": 0}, "Only the main head."),
            Row("4a", {"model.aux_heads": 1, "model.single_aux_head": "aux_4a"}, "Only the lower head."),
            Row("4d", {"model.aux_heads": 1, "model.single_aux_head": "aux_4d"}, "Only the upper head."),
            Row("weight_0.1", {"model.aux_heads": 2, "loss.aux_weight": 0.1}, "A third of the weight."),
            Row("weight_1", {"model.aux_heads": 2, "loss.aux_weight": 1.0}, "The weight of the main head."),
        ),
        rows,
    )
