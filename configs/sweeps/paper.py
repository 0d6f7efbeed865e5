"""One row per claim of the paper's sections 3 to 6 that a config can test, with the claim beside it.

Command    python -m launch.sweep --sweep=configs/sweeps/paper.py:base=mnist_sample,rows=quick \
               --seeds=2 --workdir=DIR
Rows       The reference is the paper's network with center crops. Each other row changes what its claim is
           about, so a claim that a part helps predicts that the row without it is worse.
"""

from flax_googlenet.sweeps import Row, Sweep, paper_schedule

CROPS = {"data.train_crop": "random_resized", "data.train_interpolation": "linear"}
NAIVE = dict.fromkeys(("model.reduce3x3", "model.reduce5x5", "model.project_pool"), False)


def get_sweep(base: str = "mnist_sample", rows: str = "all") -> Sweep:
    return Sweep(
        base,
        (
            Row("reference", note="The network of Table 1 and Figure 3."),
            Row(
                "naive",
                NAIVE,
                'Section 4: without reductions, "even a modest number of 5x5 convolutions can be '
                'prohibitively expensive on top of a convolutional layer with a large number of filters".',
                quick=False,
            ),
            Row(
                "without_pool_projection",
                {"model.project_pool": False},
                'Section 4: "The merging of the output of the pooling layer with the outputs of '
                "convolutional layers would lead to an inevitable increase in the number of outputs from "
                'stage to stage."',
            ),
            Row(
                "third_3x3",
                {"model.third_kernel": 3},
                'Section 4: the restriction to 1x1, 3x3 and 5x5 "was based more on convenience rather than '
                'necessity".',
            ),
            Row(
                "fully_connected",
                {"model.head": "fully_connected"},
                'Section 5: "a move from fully connected layers to average pooling improved the top-1 '
                'accuracy by about 0.6%".',
            ),
            Row(
                "without_dropout",
                {"model.dropout": 0.0},
                'Section 5: "the use of dropout remained essential even after removing the fully connected '
                'layers".',
            ),
            Row(
                "without_aux_heads",
                {"model.aux_heads": 0},
                'Section 5: auxiliary classifiers "encourage discrimination in the lower stages in the '
                "classifier, increase the gradient signal that gets propagated back, and provide additional "
                'regularization".',
            ),
            Row(
                "aux_weight_1",
                {"loss.aux_weight": 1.0},
                'Section 5: "the losses of the auxiliary classifiers were weighted by 0.3".',
            ),
            Row(
                "step",
                paper_schedule(base),
                'Section 6: "decreasing the learning rate by 4% every 8 epochs"; steeper in short runs.',
                quick=False,
            ),
            Row(
                "polyak",
                {"averaging.kind": "polyak"},
                'Section 6: "Polyak averaging was used to create the final model used at inference time."',
            ),
            Row(
                "crops",
                CROPS,
                'Section 6: patches "whose size is distributed evenly between 8% and 100% of the image area '
                'and whose aspect ratio is chosen randomly between 3/4 and 4/3" are "one prescription that '
                'was verified to work very well".',
            ),
            Row(
                "photometric",
                {**CROPS, "data.photometric": 0.5},
                'Section 6: "the photometric distortions by Andrew Howard were useful to combat overfitting '
                'to some extent"; compare with crops.',
            ),
            Row(
                "random_interpolation",
                {**CROPS, "data.train_interpolation": "random"},
                'Section 6: of random interpolation, the authors "could not tell definitely whether the '
                'final results were affected positively"; compare with crops.',
            ),
        ),
        rows,
        shared={"model.variant": "paper", "model.normalization": "lrn", "data.train_crop": "center"},
    )
