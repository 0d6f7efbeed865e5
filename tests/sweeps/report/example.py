"""A sweep that nothing trained, written through the library's own writers."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from flax_googlenet.evaluation.report import save_report
from flax_googlenet.paths import resolve_path
from flax_googlenet.sharding import data_mesh
from flax_googlenet.sweeps import Row, Run, Sweep, expand
from flax_googlenet.sweeps.plan import Cost
from flax_googlenet.sweeps.records import EVALUATION, Records
from flax_googlenet.training.reporting.clock import ACTIVITIES
from flax_googlenet.training.reporting.goodput import GOODPUT_FILE, Attempt
from flax_googlenet.training.reporting.reporter import Reporter

ROWS = (
    Row("both", {"model.aux_heads": 2}, "The paper's <heads> | both."),
    Row("none", {"model.aux_heads": 0}, "</script><script>alert(1)</script>"),
    Row("no_dropout", {"model.dropout": 0.0, "model.aux_heads": 0}, "Only the main head, *without* dropout."),
)
BASE = {
    "batch_size": 8,
    "model": {"num_classes": 3, "normalization": "none"},
    "data": {"source": "mnist_sample", "image_size": 32, "resize": 32, "train_crop": "center"},
}
CLASSES = ("cat", "<b>dog</b>", "</script>")
STEPS = 40
CONDITIONS = {"device": "1 x cpu", "commit": "0123abc", "versions": {"jax": "0.10.2"}}


def make_sweep(root: pathlib.Path, *, rows: Sequence[Row] = ROWS, seeds: int = 3, fail: str = "") -> None:
    """Write a sweep, in which a run may have failed.

    Args:
      root: its directory.
      rows: its rows.
      seeds: number of runs per row.
      fail: name of the run that failed.
    """
    runs = expand(Sweep("mnist_sample", tuple(rows)), BASE, seeds=seeds, workdir=root)
    root.mkdir(exist_ok=True)
    records = Records(resolve_path(root))
    for number, run in enumerate(runs):
        cost = Cost(params=1, multiply_adds=1, training_multiply_adds=1, steps=STEPS, images=8)
        if run.name == fail:
            records.add(run, cost, {"status": "failed", "error": "The loss is NaN, <b>say</b>."})
            continue
        result = result_of_run(number // seeds, run.seed)
        write_run(run, result)
        records.add(run, cost, {"status": "done", **result, **CONDITIONS})
    records.write(runs)


def result_of_run(number: int, seed: int) -> dict[str, float]:
    """Return the result of a run of the row with a number."""
    top1 = 0.9 + 0.01 * number + 0.002 * seed - 0.001 * number * seed
    return {
        "step": STEPS,
        "top1": top1,
        "top5": 1.0,
        "loss": 0.5 - 0.1 * number,
        "images_per_second": 90.0 - seed,
    }


def write_run(run: Run, result: Mapping[str, float]) -> None:
    """Write the files of a complete run, except for its checkpoints."""
    workdir = pathlib.Path(run.workdir)
    workdir.mkdir(parents=True)
    heads = ("logits", "aux_4a", "aux_4d") if run.config.model.aux_heads else ("logits",)
    history = []
    for step in range(5, STEPS + 1, 5):
        losses = {f"train/loss_{head}": 3 / step + 0.1 * len(head) for head in heads}
        history.append({"step": step, "train/learning_rate": 0.1, "train/top1": 0.5, **losses})
        history.append({"step": step, "val/top1": result["top1"] * step / STEPS, "val/loss": result["loss"]})
    reporter = Reporter(workdir, first_step=0, total_steps=STEPS, history=history)
    reporter.start(run.config, data_mesh())
    reporter.close()
    attempt = Attempt("", 0, STEPS, {**dict.fromkeys(ACTIVITIES, 0.0), "steps": 60.0 + run.seed}, 0.0)
    (workdir / GOODPUT_FILE).write_text(json.dumps({"history": [dataclasses.asdict(attempt)]}))
    accuracies = {f"top1_{head}": 0.9 * result["top1"] for head in heads[1:]}
    figures = {**evaluation(run.seed, result), **accuracies}
    save_report(resolve_path(workdir / EVALUATION), figures, CLASSES)


def evaluation(seed: int, result: Mapping[str, float]) -> dict[str, Any]:
    """Return the figures of a detailed evaluation."""
    confusion = np.diag([9, 8, 7]) + seed
    examples = confusion.sum(axis=1)
    return {
        "top1": result["top1"],
        "ece": 0.01 * result["loss"],
        "class_accuracy": (result["top1"] * np.array([1.0, 0.9, 0.8])).tolist(),
        "class_examples": examples.tolist(),
        "confusion": confusion.tolist(),
    }
