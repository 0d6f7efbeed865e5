"""How many seeds leave chance, for each variant and initializer and for the shipped recipes?

  python -m studies.initialization --workdir=DIR --out=FILE.json
  python -m studies.initialization --workdir=DIR --rows=recipe_mnist_sample,recipe_bvlc --seeds=5
  python -m studies.initialization --data=FOLDER --classes=10 --image_size=64 --workdir=DIR --out=FILE.json

Trains each row of studies/initialization/rows.py with seeds from 0 on, until every head has left chance or
the budget of steps is spent. A head has left chance when the mean of its loss over 20 steps is below 0.8
times ln(classes). The images are the embedded digits, or those of the classes of an image folder that have
most. Rows of a variant have the optimizer of the defaults at a constant rate, and the variant's normalization
of pixels. Rows of a recipe have its network, loss, optimizer, schedule and normalization. The batch size is
the study's for all, and a recipe's learning rate is scaled to it where the recipe says so.

DIR/ROW/seed_N.json is written at the end of each trial; the same command continues a stopped study, and more
--rows and --seeds add trials to it. All seeds of a row share a compiled program.
"""

import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from benchmarks.conditions import conditions, write_result
from flax_googlenet.config import OPERATIONAL_KEYS, flatten, resolve
from flax_googlenet.config.schema import nested
from flax_googlenet.data import Source, open_source
from flax_googlenet.paths import local_path
from flax_googlenet.sharding import check_batch_size, data_mesh
from flax_googlenet.sweeps.execution import locked
from launch.common import command, config_file
from studies.initialization.escape import LEFT, WINDOW, Trainer
from studies.initialization.rows import DEFAULT_ROWS, ROWS, Row
from studies.initialization.summary import summarize
from studies.photographs import link_classes
from studies.trials import Trials, chosen

_WORKDIR = flags.DEFINE_string("workdir", None, "Directory of the results of the trials.", required=True)
_ROWS = flags.DEFINE_list("rows", list(DEFAULT_ROWS), f"Rows to train, of {', '.join(ROWS)}.")
_SEEDS = flags.DEFINE_integer("seeds", 20, "Number of trials per row, with seeds from 0.", lower_bound=1)
_STEPS = flags.DEFINE_integer("steps", 500, "Budget of a trial.", lower_bound=WINDOW)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", lower_bound=2)
_SIZE = flags.DEFINE_integer("image_size", 32, "Side of a crop in pixels.", lower_bound=32)
_DATA = flags.DEFINE_string("data", "", "Image folder; the embedded digits if empty.")
_CLASSES = flags.DEFINE_integer(
    "classes", 10, "Number of classes of --data, those with most images.", lower_bound=2
)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")

# What a row takes from a recipe, besides the normalization of pixels. Everything else is the study's.
_SECTIONS_OF_RECIPE = ("model.", "loss.", "optimizer.", "schedule.")
_KEYS_OF_RECIPE = ("duration", "data.mean", "data.std", "data.channel_order")


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Run the trials that are missing and return the figures of the rows."""
    command.refuse_arguments(arguments)
    rows = [ROWS[name] for name in chosen("rows", _ROWS.value, ROWS)]
    workdir = local_path(_WORKDIR.value).absolute()
    mesh = data_mesh()
    check_batch_size(_BATCH_SIZE.value, mesh)
    with locked(workdir):
        keys = keys_of_data(workdir)
        configs = {row.name: config_of(row, keys) for row in rows}
        source = open_source(configs[rows[0].name].data, "train")
        trials = Trials(workdir)
        by_row = {row.name: trials_of(row, keys, source, mesh, trials) for row in rows}
    result: dict[str, Any] = {
        "setting": {
            "data": f"{len(source.class_names)} classes of photographs" if _DATA.value else "Digits",
            "classes": list(source.class_names),
            "image_size": _SIZE.value,
            "batch_size": _BATCH_SIZE.value,
            "steps": _STEPS.value,
            "window": WINDOW,
            "left": LEFT,
        },
        "rows": {
            row.name: {
                "note": row.note,
                "recipe": row.recipe,
                "rescaled": row.rescaled,
                "overrides": dict(row.overrides),
                "figures": summarize(by_row[row.name]),
                "seeds": {str(seed): found for seed, found in by_row[row.name].items()},
            }
            for row in rows
        },
        "conditions": conditions(("jaxlib", "flax", "optax")),
    }
    write_result(_OUT.value, result)
    return {name: row["figures"] for name, row in result["rows"].items()}


def keys_of_data(workdir: pathlib.Path) -> dict[str, Any]:
    """Return the config keys that the flags determine; make links to the photographs, if there are any."""
    size = _SIZE.value
    common = {"batch_size": _BATCH_SIZE.value, "data.image_size": size}
    if not _DATA.value:
        digits = {"data.source": "mnist_sample", "data.train_crop": "center", "data.mirror": False}
        return {**common, **digits, "data.resize": size, "model.num_classes": 10}
    folder = link_classes(_DATA.value, _CLASSES.value, workdir / "images")
    photographs = {"data.source": "image_folder", "data.path": str(folder)}
    resize = round(size * 256 / 224)
    return {**common, **photographs, "data.resize": resize, "model.num_classes": _CLASSES.value}


def config_of(row: Row, keys_of_data: Mapping[str, Any], seed: int = 0) -> FrozenConfigDict:
    """Return the resolved config of a row and a seed."""
    recipe: dict[str, Any] = {"duration": f"{_STEPS.value} steps", "schedule.name": "constant"}
    if row.recipe:
        recipe = {
            key: value
            for key, value in flatten(config_file.load(row.recipe)).items()
            if key.startswith(_SECTIONS_OF_RECIPE) or key in _KEYS_OF_RECIPE
        }
    return resolve(nested({**recipe, **keys_of_data, **row.overrides, "seed": seed}))


def trials_of(
    row: Row, keys: Mapping[str, Any], source: Source, mesh: Mesh, trials: Trials
) -> dict[int, dict[str, Any]]:
    """Return the results of a row by seed, after running those that are missing."""
    config = config_of(row, keys)
    trainers: list[Trainer] = []  # made for the first trial that is missing, since it compiles

    def run(seed: int) -> dict[str, Any]:
        if not trainers:
            trainers.append(Trainer(config, source, mesh, rescaled=row.rescaled))
        started = time.perf_counter()
        outcome = trainers[0].run(config_of(row, keys, seed), _STEPS.value)
        seconds = round(time.perf_counter() - started, 1)
        print(f"{row.name}, seed {seed}: {outcome['left']}, {outcome['steps']} steps", file=sys.stderr)
        return {**outcome, "seconds": seconds}

    def runner(seed: int) -> Callable[[], dict[str, Any]]:
        return lambda: run(seed)

    settings = {
        **{f"config.{key}": value for key, value in flatten(config).items() if key not in OPERATIONAL_KEYS},
        "rescaled": row.rescaled,
        "--steps": _STEPS.value,
        "window": WINDOW,
        "threshold": LEFT,
        "images": source.digest,
    }
    del settings["config.seed"]
    return {seed: trials.get(row.name, seed, settings, runner(seed)) for seed in range(_SEEDS.value)}


if __name__ == "__main__":
    command.run(main, if_interrupted=lambda: "the same command continues with the trials that are missing")
