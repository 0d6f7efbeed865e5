"""Do our networks train as well as torchvision's GoogLeNet, or better?

  python -m studies.versus_torchvision --data=FOLDER --workdir=DIR --out=FILE.json
  python -m studies.versus_torchvision --data=FOLDER --workdir=DIR --rows=torch,bn,bn_third_3x3 --seeds=5
  python -m studies.versus_torchvision --data=FOLDER --workdir=DIR --out=FILE.json \
      --classes=100 --image_size=128 --epochs=100 --batch_size=128 --seeds=5      (on an accelerator)

Trains the rows of studies/versus_torchvision/rows.py from scratch on some classes of an image folder, those
with the most images, and evaluates them after every epoch on center crops of the images held out: val/ of
the folder, or else a fifth of each class. Rows with the same seed see the same images, crops and flips in the
same order; torchvision's network, in PyTorch, is handed our batches. Optimizer, schedule and epochs are the
same.

DIR/ROW/seed_N.json is written at the end of each trial; the same command continues a stopped study, and
more --rows and --seeds add trials to it. The result lists the commits that its trials were run with.
"""

import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from benchmarks.conditions import conditions, write_result
from flax_googlenet.config import OPERATIONAL_KEYS, flatten, resolve
from flax_googlenet.config.schema import nested
from flax_googlenet.data import Source, check_same_classes, open_source
from flax_googlenet.paths import local_path
from flax_googlenet.sharding import check_batch_size, data_mesh
from flax_googlenet.sweeps.execution import locked
from launch.common import command, config_file
from studies.photographs import link_classes
from studies.trials import Trials, chosen
from studies.versus_torchvision.contenders import Contender, OurNetwork, learning_curve
from studies.versus_torchvision.rows import DEFAULT_ROWS, ROWS, TORCH, Row
from studies.versus_torchvision.summary import summarize

_DATA = flags.DEFINE_string(
    "data", None, "Image folder, with train/ and val/ or with a directory per class.", required=True
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the results of the trials.", required=True)
_ROWS = flags.DEFINE_list("rows", list(DEFAULT_ROWS), f"Rows to compare, of {', '.join(ROWS)}.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Number of trials per row, with seeds from 0.", lower_bound=1)
_CLASSES = flags.DEFINE_integer("classes", 10, "Number of classes, those with most images.", lower_bound=2)
_SIZE = flags.DEFINE_integer("image_size", 64, "Side of a crop in pixels.", lower_bound=32)
_EPOCHS = flags.DEFINE_integer("epochs", 20, "Length of a trial.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", lower_bound=2)
_RATE = flags.DEFINE_float("learning_rate", 0.02, "Learning rate after the warm-up.", lower_bound=0)
_WARMUP = flags.DEFINE_float("warmup_epochs", 1, "Length of the warm-up.", lower_bound=0)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")

MOMENTUM, WEIGHT_DECAY = 0.9, 2e-4
EVALUATED_AT_ONCE = 100

# What a row takes from its recipe, unless `config_of` sets it for all rows.
_SECTIONS_OF_RECIPE = ("model.", "data.", "loss.", "averaging.")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the trials that are missing and return the figures of the rows."""
    command.refuse_arguments(arguments)
    names = chosen("rows", _ROWS.value, ROWS)
    workdir = local_path(_WORKDIR.value).absolute()
    mesh = data_mesh()
    check_batch_size(_BATCH_SIZE.value, mesh)
    with locked(workdir):
        folder = link_classes(_DATA.value, _CLASSES.value, workdir / "images")
        configs = {name: config_of(ROWS[name], folder) for name in names}
        data = next(iter(configs.values())).data
        train, validation = (open_source(data, split) for split in ("train", "val"))
        check_same_classes(
            train.class_names, validation.class_names, "train/", "val/", "give both the same classes"
        )
        by_row = {
            name: trials_of(ROWS[name], config, train, validation, mesh, Trials(workdir))
            for name, config in configs.items()
        }
    summary = summarize(by_row)
    result = {
        "setting": setting(),
        "data": {"classes": list(train.class_names), "train": len(train), "val": len(validation)},
        **summary,
        "conditions": conditions(("jaxlib", "flax", "optax", "torch", "torchvision")),
    }
    write_result(_OUT.value, result)
    return {
        "rows": {name: {key: row[key] for key in ("top1", "loss")} for name, row in summary["rows"].items()},
        "differences": summary["differences"],
    }


def setting() -> dict[str, Any]:
    """Return what is the same for all rows."""
    return {
        "image_size": _SIZE.value,
        "epochs": _EPOCHS.value,
        "batch_size": _BATCH_SIZE.value,
        "learning_rate": _RATE.value,
        "warmup_epochs": _WARMUP.value,
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
    }


def config_of(row: Row, folder: pathlib.Path, seed: int = 0) -> FrozenConfigDict:
    """Return the resolved config of a row and a seed."""
    size = _SIZE.value
    keys: dict[str, Any] = {
        "seed": seed,
        "batch_size": _BATCH_SIZE.value,
        "duration": f"{_EPOCHS.value} epochs",
        "model.num_classes": _CLASSES.value,
        "data.source": "image_folder",
        "data.path": str(folder),
        "data.image_size": size,
        "data.resize": round(size * 256 / 224),
        "data.interpolation": "antialias",
        "optimizer.learning_rate": _RATE.value,
        "optimizer.momentum": MOMENTUM,
        "optimizer.weight_decay": WEIGHT_DECAY,
        "schedule.name": "cosine",
        "schedule.warmup": f"{_WARMUP.value:g} epochs",
        "evaluation.batch_size": EVALUATED_AT_ONCE,
    }
    recipe = flatten(config_file.load(row.recipe)) if row.recipe else {}
    taken = {key: value for key, value in recipe.items() if key.startswith(_SECTIONS_OF_RECIPE)}
    return resolve(nested({**taken, **keys, **row.overrides}))


def trials_of(
    row: Row,
    config: FrozenConfigDict,
    train: Source,
    validation: Source,
    mesh: Mesh,
    trials: Trials,
) -> dict[int, Mapping[str, Any]]:
    """Return the results of a row by seed, after running those that are missing."""
    contenders: list[Contender] = []  # made for the first trial that is missing, since it may compile

    def run(seed: int) -> dict[str, Any]:
        if not contenders:
            contenders.append(contender_of(row, config, train, validation, mesh))
        started = time.perf_counter()
        seeded = config_of(row, pathlib.Path(config.data.path), seed)
        curve = learning_curve(contenders[0], seeded, train, mesh, f"{row.name}, seed {seed}")
        return {"curve": curve, "seconds": round(time.perf_counter() - started, 1)}

    def runner(seed: int) -> Callable[[], dict[str, Any]]:
        return lambda: run(seed)

    settings = {
        "row": row.name,
        "trainer": row.trainer,
        "own_initialization": row.own_initialization,
        **{f"config.{key}": value for key, value in flatten(config).items() if key not in OPERATIONAL_KEYS},
        "training images": train.digest,
        "images held out": validation.digest,
    }
    del settings["config.seed"]
    return {seed: trials.get(row.name, seed, settings, runner(seed)) for seed in range(_SEEDS.value)}


def contender_of(
    row: Row, config: FrozenConfigDict, train: Source, validation: Source, mesh: Mesh
) -> Contender:
    """Return what trains a row."""
    if row.trainer != TORCH:
        return OurNetwork(config, train, validation, mesh)
    from studies.versus_torchvision.torch_network import TorchNetwork  # imports PyTorch

    return TorchNetwork(config, train, validation, mesh, own_initialization=row.own_initialization)


if __name__ == "__main__":
    command.run(main, if_interrupted=lambda: "the same command continues with the trials that are missing")
