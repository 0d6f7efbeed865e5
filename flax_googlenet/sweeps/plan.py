"""What a sweep will do: the cost of every row, and the time that a training step takes."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from ml_collections import FrozenConfigDict

from flax_googlenet.config import with_num_classes
from flax_googlenet.data import Source, TrainBatches, open_source, to_devices
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from flax_googlenet.runtime.compilation import without_alarms
from flax_googlenet.sharding import check_batch_size, data_mesh, replicate, split_batch
from flax_googlenet.sweeps.expansion import Run
from flax_googlenet.training.durations import make_timetable
from flax_googlenet.training.setup.program import build_program
from flax_googlenet.training.state import place_initial_state

TIMED_STEPS = 3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a run of a row takes.

    Attributes:
      params: number of parameters at inference.
      multiply_adds: multiply-adds per image at inference.
      training_multiply_adds: multiply-adds per image with the auxiliary heads, forward only.
      steps: length of the run.
      images: number of images in all its batches.
    """

    params: int
    multiply_adds: int
    training_multiply_adds: int
    steps: int
    images: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """The runs of a sweep and their costs.

    Attributes:
      runs: the runs.
      costs: cost of a run, by row.
      seconds_per_multiply_add: seconds of a training step per multiply-add of its forward pass; None if no
        step was timed.
    """

    runs: tuple[Run, ...]
    costs: Mapping[str, Cost]
    seconds_per_multiply_add: float | None = None

    def seconds(self, row: str) -> float | None:
        """Return the estimated time of the training steps of a run."""
        if self.seconds_per_multiply_add is None:
            return None
        cost = self.costs[row]
        return cost.images * cost.training_multiply_adds * self.seconds_per_multiply_add

    def total(self) -> str:
        """Return a sentence on the estimated time of all runs."""
        seconds = [self.seconds(run.row.name) for run in self.runs]
        known = [value for value in seconds if value is not None]
        if not known:
            return f"{len(self.runs)} runs, all complete"
        return (
            f"{len(self.runs)} runs with {in_words(sum(known))} of training steps, without compilation and "
            "evaluation; complete runs are skipped"
        )

    def to_markdown(self) -> str:
        """Return a table with a line per row."""
        seeds = {row: [run.seed for run in self.runs if run.row.name == row] for row in self.costs}
        lines = [
            "| row | parameters | multiply-adds | steps | seeds | time per run |",
            "|---|--:|--:|--:|---|--:|",
        ]
        for row, cost in self.costs.items():
            seconds = self.seconds(row)
            cells = [
                row,
                f"{cost.params:,}",
                f"{cost.multiply_adds / 1e6:,.1f}M",
                f"{cost.steps:,}",
                ", ".join(map(str, seeds[row])),
                "" if seconds is None else in_words(seconds),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"


def in_words(seconds: float) -> str:
    """Return a duration in a unit that suits it.

    >>> in_words(42.3), in_words(1234), in_words(12345)
    ('42 s', '21 min', '3.4 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def make_plan(runs: Sequence[Run], timed: Run | None = None) -> Plan:
    """Measure the networks of a sweep's rows, and time a training step of one run.

    Args:
      runs: the runs, as `expand` returns them.
      timed: the run whose step to time; None for no estimate. Its program is compiled, and a run finds it
        in the compilation cache.

    Raises:
      UserError: if the data or the config of a row cannot be used.
    """
    sources: dict[str, Source] = {}
    networks: dict[str, Any] = {}
    costs: dict[str, Cost] = {}
    for run in runs:
        if run.row.name in costs:
            continue
        data = repr(run.config.data)
        if data not in sources:
            sources[data] = open_source(run.config.data, "train")
        source = sources[data]
        config = with_num_classes(run.config, len(source.class_names))
        key = repr((config.model, config.data.image_size))
        if key not in networks:
            networks[key] = summarize(build_model(config.model), config.data.image_size)
        summary, steps = networks[key], make_timetable(config, len(source)).total
        auxiliary = sum(row.multiply_adds for row in summary.auxiliary)
        costs[run.row.name] = Cost(
            summary.params,
            summary.multiply_adds,
            summary.multiply_adds + auxiliary,
            steps,
            steps * config.batch_size,
        )
    if timed is None:
        return Plan(tuple(runs), costs)
    source = sources[repr(timed.config.data)]
    config = with_num_classes(timed.config, len(source.class_names))
    seconds = seconds_per_step(config, source)
    work = config.batch_size * costs[timed.row.name].training_multiply_adds
    return Plan(tuple(runs), costs, seconds / work)


def seconds_per_step(config: FrozenConfigDict, source: Source) -> float:
    """Time a training step on this machine's devices, without compilation.

    Args:
      config: a resolved config with its number of classes.
      source: its training split.

    Raises:
      UserError: if the batch cannot be split over the devices.
    """
    mesh = data_mesh()
    check_batch_size(config.batch_size, mesh, config.optimizer.accumulate)
    validation, timetable = open_source(config.data, "val"), make_timetable(config, len(source))
    program = build_program(config, source, validation, timetable, mesh)
    step = program.step
    state = place_initial_state(config, program.model, program.optimizer, replicate(mesh))
    batches = TrainBatches(source, config.data, config.seed, config.batch_size)
    stream = to_devices(batches, range(TIMED_STEPS + 1), split_batch(mesh))
    started = 0.0
    try:
        for number, batch in enumerate(stream):
            if not number:
                with without_alarms():
                    step = step.lower(state, batch).compile()
            state, metrics = step(state, batch)
            if not number:
                jax.block_until_ready(metrics)
                started = time.perf_counter()
        jax.block_until_ready(metrics)
        return (time.perf_counter() - started) / TIMED_STEPS
    finally:
        stream.close()
