"""A training run: train, report, evaluate, save checkpoints, resume."""

import contextlib
import dataclasses
import itertools
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from etils import epath
from jax.sharding import Mesh
from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.checkpoints import (
    Description,
    describe,
    evaluation_variables,
    find_latest,
    finish_replacements,
    verify_digests,
)
from flax_googlenet.config import (
    flatten,
    shared_settings,
    to_json_dict,
    with_num_classes,
)
from flax_googlenet.data import (
    Source,
    TrainBatches,
    check_classes,
    open_source,
    to_devices,
)
from flax_googlenet.distributed import (
    Preempted,
    check_agreement,
    compile_together,
    meet,
    preemption,
    process_count,
    process_index,
)
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.models import build_model
from flax_googlenet.paths import resolve_path
from flax_googlenet.sharding import check_batch_size, data_mesh, replicate, split_batch
from flax_googlenet.training import saving
from flax_googlenet.training.averaging import make_statistics
from flax_googlenet.training.durations import make_timetable
from flax_googlenet.training.fine_tuning import read_start, with_weights
from flax_googlenet.training.health import StuckHeads, check_finite
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.parameter_groups import check_patterns
from flax_googlenet.training.reporting.clock import Clock
from flax_googlenet.training.reporting.curves import save_curves, title_of
from flax_googlenet.training.reporting.reporter import Reporter, over_steps
from flax_googlenet.training.reporting.samples import augmented_samples
from flax_googlenet.training.saving import Saver
from flax_googlenet.training.setup.checks import check_same_experiment, check_step, identify_data
from flax_googlenet.training.setup.workdir import open_checkpoints
from flax_googlenet.training.state import TrainState, initial_state, place_initial_state
from flax_googlenet.training.step import Batch, make_train_step

logger = logging.getLogger(__name__)

Result = dict[str, Any]

STEPS_IN_FLIGHT = 2  # steps on the devices at a time, so that they always have the next one


def train(config: Mapping[str, Any] | ConfigDict, workdir: str | os.PathLike) -> Result:
    """Train for the config's duration, resuming from the last checkpoint if there is one.

    A run that was killed resumes exactly where its last checkpoint left it. For a complete run, the
    recorded result is returned.

    Args:
      config: values that the experiment sets; `resolve_config` fills in the others.
      workdir: directory of the run; created if it does not exist.

    Returns:
      "step"; "top1", "top5" and "loss" of the last evaluation; "images_per_second", the speed of
      training without evaluation and checkpoints; "checkpoint", the directory of the last
      checkpoint; and, if corrupt images are skipped, "bad_images", the number of times that
      another image replaced one.

    Raises:
      UserError: if the config, the data or the workdir cannot be used, or if the loss becomes
        infinite or NaN.
      Preempted: if `distributed.preemption.notice` was called; the run can be resumed.
    """
    root = resolve_path(workdir)
    resolved = resolve_config(config, root)
    if process_index() == 0:
        finish_replacements(root)
    meet("look at the workdir")
    latest = find_latest(root)
    check_agreement(
        {
            "the workdir": str(root),
            "the latest checkpoint": latest.name if latest else "",
            **shared_settings(resolved),
        }
    )
    mesh = data_mesh()
    check_batch_size(resolved.batch_size, mesh, resolved.optimizer.accumulate)
    if latest is None:
        return _Run(resolved, root, mesh).execute()
    recorded = describe(latest)
    resolved = with_num_classes(resolved, recorded.config["model"]["num_classes"])
    check_same_experiment(resolved, recorded, root)
    if recorded.result:
        verify_digests(latest)
        logger.info(f"The run in {root} is complete.")
        return {**recorded.result, "checkpoint": str(latest)}
    return _Run(resolved, root, mesh, recorded).execute()


class _Run:
    """A process's part of a run. Nothing is written to disk until the constructor has checked everything."""

    def __init__(
        self, config: FrozenConfigDict, root: epath.Path, mesh: Mesh, recorded: Description | None = None
    ) -> None:
        """Prepare a run, to resume from a checkpoint if its description is given."""
        self.root, self.mesh, self.recorded = root, mesh, recorded
        self.source = open_source(config.data, "train")
        self.config = with_num_classes(config, len(self.source.class_names))
        validation = open_source(config.data, "val")
        check_classes(self.source, self.config.model.num_classes)
        self.data = identify_data(self.source, validation, recorded, root)
        check_agreement({f"the data set's {name}": value for name, value in flatten(self.data).items()})
        self.timetable = make_timetable(self.config, len(self.source))
        if recorded:
            check_step(recorded.step, self.timetable, self.config, root)
        self._build(validation)
        self._choose_start()
        self.checkpoints = open_checkpoints(self.config, root)
        self.saver = Saver(
            self.checkpoints,
            Description(
                0, to_json_dict(self.config), self.source.class_names, origin=self.origin, data=self.data
            ),
            last=recorded.step if recorded else None,
            every_minutes=self.config.checkpoint.every_minutes,
        )
        self.clock = Clock()
        self.measured = self.evaluated = -1  # steps of the last batch statistics and of the last evaluation

    def _build(self, validation: Source) -> None:
        """Build the network, the functions that train and evaluate it, and the shapes of the state."""
        config, timetable = self.config, self.timetable
        self.model = build_model(config.model)
        schedule = build_schedule(config, total_steps=timetable.total, epoch_size=len(self.source))
        self.optimizer = build_optimizer(config.optimizer, schedule)
        self.state_shapes = jax.eval_shape(lambda: initial_state(config, self.model, self.optimizer))
        check_patterns(config.optimizer, self.state_shapes.params)
        self.step: Any = make_train_step(
            config, self.model, self.optimizer, schedule, self.mesh, timetable.averaging_start
        )
        self.statistics = make_statistics(config, self.model, self.source, self.mesh)
        self.evaluator = Evaluator(
            [Member(self.model, config.data)], validation, self.mesh, batch_size=config.evaluation.batch_size
        )

    def _choose_start(self) -> None:
        """Read the weights of `init_from`, unless the run resumes."""
        self.start = None
        self.origin: Mapping[str, str] = self.recorded.origin if self.recorded else {}
        if self.config.init_from and not self.recorded:
            shapes = self.state_shapes
            self.start = read_start(
                self.config.init_from, shapes.params, shapes.batch_stats, self.source.class_names
            )
            self.origin = self.start.origin

    def execute(self) -> Result:
        """Train to the end, from the first step or from the last checkpoint."""
        total = self.timetable.total
        with contextlib.ExitStack() as stack:
            stack.callback(self.checkpoints.close)
            first, state = self._restore(self.recorded) if self.recorded else (0, self._initialize())
            self.reporter = Reporter(
                self.root,
                first_step=first,
                total_steps=total,
                history=self.recorded.history if self.recorded else (),
                enabled=jax.process_index() == 0,
            )
            stack.callback(self.reporter.close)
            self._report_start(first)
            batches = TrainBatches(self.source, self.config.data, self.config.seed, self.config.batch_size)
            stream = to_devices(batches, range(first, total), split_batch(self.mesh))
            stack.callback(stream.close)
            return self._train(first, state, stream)

    def _initialize(self) -> TrainState:
        state = place_initial_state(self.config, self.model, self.optimizer, replicate(self.mesh))
        return with_weights(state, self.start, replicate(self.mesh)) if self.start else state

    def _restore(self, recorded: Description) -> tuple[int, TrainState]:
        """Return the step and the state of the last checkpoint."""
        sharding = replicate(self.mesh)
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), self.state_shapes
        )
        weights, rest = self.checkpoints.restore(
            recorded.step, weights=like.weights(), optimizer=like.optimizer()
        )
        state = TrainState(**weights, **rest)
        if like.averaged_batch_stats and not state.averaged_batch_stats:  # such as after a preemption
            state = self._measure_statistics(state)
        return recorded.step, state

    def _report_start(self, first: int) -> None:
        """Report what the run is about to do, and record its config."""
        reporter, config = self.reporter, self.config
        reporter.start(config)
        verb = f"resuming at step {first} of" if first else "training for"
        steps = f"{self.timetable.total} steps of {config.batch_size} images"
        devices = f"{self.mesh.size} x {jax.devices()[0].device_kind}"
        if process_count() > 1:
            devices += f" of {process_count()} processes"
        reporter.log(f"{verb} {steps} on {devices}, into {self.root}")
        if self.start:
            reporter.log(self.start.summary)
            self.start = None  # frees a copy of all weights
        if reporter.enabled:
            (self.root / "config.json").write_text(json.dumps(to_json_dict(config), indent=2) + "\n")

    def _train(self, first: int, state: TrainState, stream: Iterator[Batch]) -> Result:
        """Train from the state after step `first`, and save it early if the run is preempted."""
        self.state, self.done = state, first
        self.pending = saving.from_json(self.recorded.unreported) if self.recorded else []
        if first < self.timetable.total:
            stream = self._compile_step(stream)
        with preemption.heeded():
            try:
                return self._run_steps(first, stream)
            except preemption.StopHere:
                self._save_preempted()
                checkpoint = self.checkpoints.path(self.done) if self.done else ""
                raise Preempted(self.done, checkpoint) from None

    def _run_steps(self, first: int, stream: Iterator[Batch]) -> Result:
        total = self.timetable.total
        stuck_heads = StuckHeads(self.config.model.num_classes, self.timetable.warmup)
        result: Result = {}
        if self.recorded and self.recorded.unevaluated:
            result = self._evaluate_and_save(first, evaluates=True, saves=self.timetable.saves(first))
        for step in range(first + 1, total + 1):
            batch = self._next_batch(stream)
            preemption.point()
            with jax.transfer_guard("disallow"):
                self.state, metrics = self.step(self.state, batch)
            self.done = step
            self.pending.append(metrics)
            # At a notice, the devices have these steps to finish before the run can stop.
            jax.block_until_ready(self.pending[-STEPS_IN_FLIGHT:][0])
            self.reporter.advance()
            if step == 1 and self.reporter.enabled:
                self.reporter.samples(augmented_samples(batch, self.config))

            reports, evaluates = self.timetable.reports(step), self.timetable.evaluates(step)
            is_first = step == first + 1
            if not (reports or evaluates or is_first):
                continue
            # From here until the clock starts again, the devices have finished all steps.
            fetched = self._fetch_metrics()
            if reports:
                self._report(step, fetched, stuck_heads)
                self.pending = []
            self.clock.stop()
            saves = self.timetable.saves(step) or (reports and self.saver.is_overdue())
            result = self._evaluate_and_save(step, evaluates=evaluates, saves=saves)
            self.clock.start()
        return {**result, "checkpoint": self.checkpoints.path(total)}

    def _evaluate_and_save(self, step: int, *, evaluates: bool, saves: bool) -> Result:
        """Do what is due after a step, and return the result of the run if it was the last one."""
        result: Result = {}
        if evaluates or saves:
            self.state = self._measure_statistics(self.state)
            self.measured = step
        figures = self._evaluate(step, self.state) if evaluates else {}
        if step == self.timetable.total:
            result = self._result(step, figures)
            self._draw_curves(result)
        self.reporter.upload(at_once=evaluates or saves)
        if saves:
            self.saver.save(step, self.state, figures, history=self.reporter.records, result=result)
        return result

    def _save_preempted(self) -> None:
        """Save the last step, which may not be one at which the run reports, evaluates or saves."""
        step = self.done
        self.reporter.log(
            f"stopping after step {step}, {preemption.seconds_since_notice():.1f} s after the notice"
        )
        if step and step != self.saver.last:
            state = self.state
            if self.measured != step:  # those of earlier weights; to measure them would take long
                state = dataclasses.replace(state, averaged_batch_stats={})
            self.saver.save(
                step,
                state,
                {},
                history=self.reporter.records,
                unreported=saving.to_json(self._fetch_metrics()),
                unevaluated=self.timetable.evaluates(step) and self.evaluated != step,
            )
        self.checkpoints.wait()

    def _next_batch(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        self.clock.count(self.config.batch_size, waited=time.perf_counter() - started)
        return batch

    def _compile_step(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        """Compile the step for the batches of a stream, and return the stream from its start."""
        batch = next(stream)
        self.reporter.log("compiling the training step ...")
        started = time.perf_counter()
        self.step = compile_together(self.step, self.state, batch)
        self.reporter.log(f"compiled the training step in {time.perf_counter() - started:.1f} s")
        return itertools.chain([batch], stream)

    def _fetch_metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of the steps since the last report, and check them."""
        fetched: list[dict[str, Any]] = jax.device_get(self.pending)
        self._check_finite(self.done, fetched)
        return fetched

    def _check_finite(self, step: int, fetched: Sequence[Mapping[str, Any]]) -> None:
        """Check the metrics of the steps up to `step`."""
        for name in ("loss", "gradient_norm"):
            values = [float(metrics[name]) for metrics in fetched]
            check_finite(name, values, step - len(fetched) + 1, self._last_checkpoint)

    def _last_checkpoint(self) -> str | None:
        self.checkpoints.wait()
        latest = self.checkpoints.latest_step
        return self.checkpoints.path(latest) if latest is not None else None

    def _report(self, step: int, fetched: Sequence[Mapping[str, Any]], stuck_heads: StuckHeads) -> None:
        figures = over_steps(fetched)
        self.reporter.train(step, figures, self.clock.lap(), self.config.batch_size)
        for warning in stuck_heads.warnings(step, figures):
            self.reporter.log(warning, logging.WARNING)

    def _measure_statistics(self, state: TrainState) -> TrainState:
        """Return the state with batch statistics for the averaged weights, if it has both."""
        if not state.averaged_params or not state.batch_stats:
            return state
        measured = self.statistics(state.averaged_params, state.batch_stats)
        return dataclasses.replace(state, averaged_batch_stats=measured)

    def _evaluate(self, step: int, state: TrainState) -> dict[str, Any]:
        figures = self.evaluator([evaluation_variables(state.weights())])
        self.reporter.evaluation(step, figures)
        self.evaluated = step
        check_finite("validation loss", [figures["loss"]], step, self._last_checkpoint)
        return figures

    def _result(self, step: int, figures: Mapping[str, Any]) -> Result:
        result: Result = {"step": step, **{name: figures[name] for name in ("top1", "top5", "loss")}}
        if self.config.data.on_error == "skip":
            counts = [record.get("train/bad_images", 0) for record in self.reporter.records]
            result["bad_images"] = int(sum(counts))
        return {**result, "images_per_second": round(self.clock.overall().images_per_second, 1)}

    def _draw_curves(self, result: Result) -> None:
        if self.reporter.enabled:
            save_curves(self.root, self.reporter.records, title_of(self.config, result))
