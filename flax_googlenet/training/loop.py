"""A training run: train, report, evaluate, save checkpoints, resume."""

import contextlib
import dataclasses
import itertools
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.checkpoints import Description, describe, evaluation_variables
from flax_googlenet.config import flatten, shared_settings, to_json_dict, with_num_classes
from flax_googlenet.data import TrainBatches, check_classes, open_source, to_devices
from flax_googlenet.disk import writing
from flax_googlenet.distributed import Preempted, ProcessesLost, check_agreement, preemption, survival
from flax_googlenet.errors import UserError
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.paths import resolve_path
from flax_googlenet.sharding import (
    check_batch_size,
    data_mesh,
    fetch_copies,
    put_copies,
    replicate,
    split_batch,
)
from flax_googlenet.training import saving
from flax_googlenet.training.durations import make_timetable
from flax_googlenet.training.fine_tuning import read_start, with_weights
from flax_googlenet.training.health import StuckHeads, check_finite
from flax_googlenet.training.reporting.curves import save_curves, title_of
from flax_googlenet.training.reporting.goodput import read_summary
from flax_googlenet.training.reporting.observation import Observation, OnEvaluation
from flax_googlenet.training.reporting.reporter import Reporter, over_steps
from flax_googlenet.training.reporting.samples import augmented_samples
from flax_googlenet.training.saving import Saver
from flax_googlenet.training.setup.checks import check_same_experiment, check_step, identify_data
from flax_googlenet.training.setup.program import build_program
from flax_googlenet.training.setup.workdir import Workdir, opened_workdir
from flax_googlenet.training.state import TrainState, place_initial_state, root_key_of
from flax_googlenet.training.step import Batch, Metrics

logger = logging.getLogger(__name__)

Result = dict[str, Any]

STEPS_IN_FLIGHT = 2  # steps on the devices at a time, so that they always have the next one


def train(
    config: Mapping[str, Any] | ConfigDict,
    workdir: str | os.PathLike,
    *,
    profile_steps: Sequence[int] | None = None,
    started: float | None = None,
    on_evaluation: OnEvaluation | None = None,
) -> Result:
    """Train for the config's duration, resuming from the last checkpoint if there is one.

    A run that was killed resumes exactly where its last checkpoint left it. For a complete run, the
    recorded result is returned.

    Args:
      config: values that the experiment sets; `resolve_config` fills in the others.
      workdir: directory of the run; created if it does not exist.
      profile_steps: the first and the last step to trace into the workdir.
      started: `time.perf_counter()` when the process began, for the goodput; None for now.
      on_evaluation: called with step and figures of each evaluation; may raise `StopTraining` to end the run.

    Returns:
      "step"; "top1", "top5" and "loss" of the last evaluation; "images_per_second", the speed of
      training without evaluation and checkpoints; "checkpoint", the directory of the last
      checkpoint; "goodput", where the time of the run went; and, if corrupt images are skipped,
      "bad_images", the number of times that another image replaced one.

    Raises:
      UserError: if the config, the data or the workdir cannot be used, or if the loss becomes
        infinite or NaN.
      Preempted: if `distributed.preemption.notice` was called; the run can be resumed.
    """
    root = resolve_path(workdir)
    observation = Observation(root, profile_steps=profile_steps, started=started, on_evaluation=on_evaluation)
    resolved = resolve_config(config, root)
    with opened_workdir(root) as place:
        return _start_or_resume(resolved, place, observation)


def _start_or_resume(config: FrozenConfigDict, workdir: Workdir, observation: Observation) -> Result:
    root, latest = workdir.root, workdir.latest
    check_agreement(
        {"the workdir": str(root), "the latest checkpoint": workdir.seen, **shared_settings(config)}
    )
    mesh = data_mesh()
    check_batch_size(config.batch_size, mesh, config.optimizer.accumulate)
    if latest is None:
        return _execute(_Run(config, workdir, mesh, observation))
    recorded = describe(latest)
    config = with_num_classes(config, recorded.config["model"]["num_classes"])
    check_same_experiment(config, recorded, root)
    if recorded.result:
        logger.info(f"The run in {root} is complete.")
        return {**recorded.result, "checkpoint": str(latest), "goodput": read_summary(root)}
    return _execute(_Run(config, workdir, mesh, observation, recorded))


def _execute(run: "_Run") -> Result:
    """Execute a run, and go on without the processes that are lost, if that is turned on."""
    while True:
        try:
            return run.execute()
        except ProcessesLost as lost:
            run = run.without_lost_processes(lost)


class _Run:
    """A process's part of a run. Nothing is written to disk until the constructor has checked everything."""

    def __init__(
        self,
        config: FrozenConfigDict,
        workdir: Workdir,
        mesh: Mesh,
        observation: Observation,
        recorded: Description | None = None,
        kept: TrainState | None = None,
    ) -> None:
        """Prepare a run.

        It resumes from a checkpoint if its description is given; or from a state that was kept on the host,
        with the description that its checkpoint would have.
        """
        self.workdir, self.root, self.mesh, self.recorded = workdir, workdir.root, mesh, recorded
        self.observation, self.clock, self.kept = observation, observation.clock, kept
        self.source = open_source(config.data, "train")
        self.config = with_num_classes(config, len(self.source.class_names))
        validation = open_source(config.data, "val")
        check_classes(self.source, self.config.model.num_classes)
        self.data = identify_data(self.source, validation, recorded, self.root)
        check_agreement({f"the data set's {name}": value for name, value in flatten(self.data).items()})
        self.timetable = make_timetable(self.config, len(self.source))
        if recorded:
            check_step(recorded.step, self.timetable, self.config, self.root)
        observation.prepare(recorded.step if recorded else 0, self.timetable.total)
        self.program = build_program(self.config, self.source, validation, self.timetable, self.mesh)
        self.step = self.program.step
        self._choose_start()
        self.checkpoints = workdir.open_checkpoints(self.config)
        names = self.source.class_names
        self.saver = Saver(
            workdir,
            self.checkpoints,
            Description(0, to_json_dict(self.config), names, origin=self.origin, data=self.data),
            last=recorded.step if recorded else None,
            every_minutes=self.config.checkpoint.every_minutes,
        )
        self.measured = self.evaluated = -1  # steps of the last batch statistics and of the last evaluation

    def _choose_start(self) -> None:
        """Read the weights of `init_from`, unless the run resumes."""
        self.start = None
        self.origin: Mapping[str, str] = self.recorded.origin if self.recorded else {}
        if self.config.init_from and not self.recorded:
            shapes = self.program.state_shapes
            self.start = read_start(
                self.config.init_from, shapes.params, shapes.batch_stats, self.source.class_names
            )
            self.origin = self.start.origin

    def execute(self) -> Result:
        """Train to the end, from the first step or from the last checkpoint."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.observation)
            stack.callback(self.checkpoints.close)
            self.done = first = self.recorded.step if self.recorded else 0
            self.state = self._restore(self.recorded) if self.recorded else self._initialize()
            self.reporter = Reporter(
                self.root,
                first_step=first,
                total_steps=self.timetable.total,
                history=self.recorded.history if self.recorded else (),
                enabled=jax.process_index() == 0,
                on_full_disk=self.config.checkpoint.on_full_disk,
            )
            stack.callback(self.reporter.close)
            self.observation.start()
            self.reporter.start(self.config, self.mesh)
            if self.start:
                self.reporter.log(self.start.summary)
                self.start = None  # frees a copy of all weights
            batches = TrainBatches(self.source, self.config.data, self.config.seed, self.config.batch_size)
            stream = to_devices(batches, range(first, self.timetable.total), split_batch(self.mesh))
            stack.callback(stream.close)
            result = self._train(first, stream)
        return {**result, "goodput": self.observation.summary()}

    def _initialize(self) -> TrainState:
        model, optimizer = self.program.model, self.program.optimizer
        state = place_initial_state(self.config, model, optimizer, replicate(self.mesh))
        return with_weights(state, self.start, replicate(self.mesh)) if self.start else state

    def _restore(self, recorded: Description) -> TrainState:
        """Return the state that was kept, or that of the last checkpoint."""
        sharding = replicate(self.mesh)
        if self.kept:
            state, self.kept = put_copies(self.kept, sharding), None
            return state
        like = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), self.program.state_shapes
        )
        weights, rest = self.checkpoints.restore(
            recorded.step, weights=like.weights(), optimizer=like.optimizer()
        )
        return TrainState(**weights, **rest, root_key=put_copies(root_key_of(self.config.seed), sharding))

    def _train(self, first: int, stream: Iterator[Batch]) -> Result:
        """Train from the state after step `first`, and save it early if the run is preempted."""
        self.pending = saving.from_json(self.recorded.unreported) if self.recorded else []
        if self.program.state_shapes.averaged_batch_stats and not self.state.averaged_batch_stats:
            self.state = self._measure_statistics(self.state)  # such as after a preemption
        if first < self.timetable.total:
            stream = self._compile_step(stream)
        with preemption.heeded():
            try:
                return self._run_steps(first, stream)
            except preemption.StopHere:
                raise Preempted(self.done, self._save_preempted()) from None

    def _run_steps(self, first: int, stream: Iterator[Batch]) -> Result:
        total = self.timetable.total
        stuck_heads = StuckHeads(self.config.model.num_classes, self.timetable.warmup)
        result: Result = {}
        if self.recorded and self.recorded.unevaluated:
            result = self._evaluate_and_save(first, evaluates=True, saves=self.timetable.saves(first))
        self.clock.begin("steps")
        for step in range(first + 1, total + 1):
            batch = self._next_batch(stream)
            preemption.point()
            self.pending.append(self._take_step(batch))
            self.done = step
            # At a notice, the devices have these steps to finish before the run can stop.
            jax.block_until_ready(self.pending[-STEPS_IN_FLIGHT:][0])
            self.reporter.advance()
            self.checkpoints.check()
            if step == 1 and self.reporter.enabled:
                with self.clock.spent("other"):
                    self.reporter.samples(augmented_samples(batch, self.config))

            reports, evaluates = self.timetable.reports(step), self.timetable.evaluates(step)
            if not (reports or evaluates or step == first + 1):
                continue
            # From here until the clock starts again, the devices have finished all steps.
            fetched = self._fetch_metrics()
            self.clock.stop()
            if reports:
                self._report(step, fetched, stuck_heads)
                self.pending = []
            saves = self.timetable.saves(step) or (reports and self.saver.is_overdue())
            result = self._evaluate_and_save(step, evaluates=evaluates, saves=saves)
            self.clock.start()
        self.clock.begin("save")  # of which the last one has not ended
        return {**result, "checkpoint": self.checkpoints.complete(total)}

    def _evaluate_and_save(self, step: int, *, evaluates: bool, saves: bool) -> Result:
        """Do what is due after a step, and return the result of the run if it was the last one."""
        result: Result = {}
        if evaluates or saves:
            self.workdir.check()
            self.state = self._measure_statistics(self.state)
            self.measured = step
        figures = self._evaluate(step, self.state) if evaluates else {}
        if step == self.timetable.total:
            result = self._result(step, figures)
            self._draw_curves(result)
        with self.clock.spent("save"):
            self.reporter.upload(at_once=evaluates or saves)
            if saves:
                self.saver.save(step, self.state, figures, history=self.reporter.records, result=result)
        return result

    def _save_preempted(self) -> str:
        """Save the last step, which may not be one at which the run reports, evaluates or saves.

        Returns:
          The directory of the checkpoint; "" if no step has been made.
        """
        self.clock.begin("save")
        step = self.done
        self.reporter.log(
            f"stopping after step {step}, {preemption.seconds_since_notice():.1f} s after the notice"
        )
        if step and step != self.saver.last:
            state = self.state
            if self.measured != step:  # those of earlier weights; to measure them would take long
                state = dataclasses.replace(state, averaged_batch_stats={})
            self.saver.save(step, state, {}, **self._unfinished())
        return self.checkpoints.complete(step) if step else ""

    def _unfinished(self) -> dict[str, Any]:
        """Return the fields of a checkpoint's description that say what is still due after its step."""
        return {
            "history": self.reporter.records,
            "unreported": saving.to_json(self._fetch_metrics()),
            "unevaluated": self.timetable.evaluates(self.done) and self.evaluated != self.done,
        }

    def without_lost_processes(self, lost: ProcessesLost) -> "_Run":
        """Return a run of the processes that are left, which goes on after the last step."""
        logger.warning(f"{lost} They go on after step {self.done}.")
        mesh = data_mesh(survival.remaining_devices())
        try:
            check_batch_size(self.config.batch_size, mesh, self.config.optimizer.accumulate)
        except UserError as error:
            survival.give_up(str(error))
        description = dataclasses.replace(self.saver.run, step=self.done, **self._unfinished())
        observation, state = self.observation.restarted(), fetch_copies(self.state)
        run = _Run(self.config, self.workdir, mesh, observation, description, state)
        run.saver.last = self.saver.last
        return run

    def _take_step(self, batch: Batch) -> Metrics:
        """Take a step, and return its metrics. If a process is lost in it, the state stays as it was."""
        before = fetch_copies(self.state) if survival.is_on() else self.state
        try:
            with survival.all_or_none():
                with jax.transfer_guard("disallow"):
                    self.state, metrics = self.step(self.state, batch)
                if survival.is_on():
                    jax.block_until_ready(metrics)
        except ProcessesLost:
            self.state = before
            raise
        return metrics

    def _next_batch(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        before = self.pending[-1]["loss"] if self.pending else None
        self.observation.count_step(self.config.batch_size, time.perf_counter() - started, before)
        return batch

    def _compile_step(self, stream: Iterator[Batch]) -> Iterator[Batch]:
        """Compile the step for the batches of a stream, and return the stream from its start."""
        with self.clock.spent("data"):
            batch = next(stream)
        self.step = self.observation.compile_step(self.step, self.state, batch)
        return itertools.chain([batch], stream)

    def _fetch_metrics(self) -> list[dict[str, Any]]:
        """Return the metrics of the steps since the last report, and check them."""
        fetched: list[dict[str, Any]] = jax.device_get(self.pending)
        for name in ("loss", "gradient_norm"):
            values = [float(metrics[name]) for metrics in fetched]
            check_finite(name, values, self.done - len(fetched) + 1, self._last_checkpoint)
        return fetched

    def _last_checkpoint(self) -> str | None:
        self.checkpoints.wait()
        latest = self.checkpoints.latest_step
        return self.checkpoints.path(latest) if latest is not None else None

    def _report(self, step: int, fetched: Sequence[Mapping[str, Any]], stuck_heads: StuckHeads) -> None:
        figures = over_steps(fetched)
        self.reporter.train(step, figures, self.observation.lap(), self.config.batch_size)
        for warning in stuck_heads.warnings(step, figures):
            self.reporter.log(warning, logging.WARNING)

    def _measure_statistics(self, state: TrainState) -> TrainState:
        """Return the state with batch statistics for the averaged weights, if it has both."""
        if not state.averaged_params or not state.batch_stats:
            return state
        with self.clock.spent("evaluation"), survival.all_or_none():
            measure = self.program.statistics
            measured = jax.block_until_ready(measure(state.averaged_params, state.batch_stats))
        return dataclasses.replace(state, averaged_batch_stats=measured)

    def _evaluate(self, step: int, state: TrainState) -> dict[str, Any]:
        with self.clock.spent("evaluation"), survival.all_or_none():
            figures = self.program.evaluator([evaluation_variables(state.weights())])
        self.reporter.evaluation(step, figures)
        self.evaluated = step
        check_finite("validation loss", [figures["loss"]], step, self._last_checkpoint)
        self.observation.evaluated(step, figures)
        return figures

    def _result(self, step: int, figures: Mapping[str, Any]) -> Result:
        result: Result = {"step": step, **{name: figures[name] for name in ("top1", "top5", "loss")}}
        if self.config.data.on_error == "skip":
            counts = [record.get("train/bad_images", 0) for record in self.reporter.records]
            result["bad_images"] = int(sum(counts))
        return {**result, "images_per_second": round(self.clock.overall().images_per_second, 1)}

    def _draw_curves(self, result: Result) -> None:
        if self.reporter.enabled:
            with writing(self.root, self.config.checkpoint.on_full_disk):
                save_curves(self.root, self.reporter.records, title_of(self.config, result))
