"""A training run: train, report, evaluate, save checkpoints, resume."""

import contextlib
import dataclasses
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict, FrozenConfigDict

from flax_googlenet.checkpoints import (
    Description,
    describe,
    evaluation_variables,
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
from flax_googlenet.disk import writing
from flax_googlenet.distributed import (
    check_agreement,
    compile_together,
    process_count,
)
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.models import build_model
from flax_googlenet.paths import resolve_path
from flax_googlenet.runtime import compilation
from flax_googlenet.sharding import check_batch_size, data_mesh, replicate, split_batch
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
from flax_googlenet.training.setup.checks import check_same_experiment, check_step, identify_data
from flax_googlenet.training.setup.workdir import Workdir, opened_workdir
from flax_googlenet.training.state import TrainState, initial_state, place_initial_state
from flax_googlenet.training.step import Batch, Metrics, make_train_step

logger = logging.getLogger(__name__)

Result = dict[str, Any]


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
    """
    root = resolve_path(workdir)
    resolved = resolve_config(config, root)
    with opened_workdir(root) as place:
        return _start_or_resume(resolved, place)


def _start_or_resume(config: FrozenConfigDict, workdir: Workdir) -> Result:
    root, latest = workdir.root, workdir.latest
    check_agreement(
        {"the workdir": str(root), "the latest checkpoint": workdir.seen, **shared_settings(config)}
    )
    mesh = data_mesh()
    check_batch_size(config.batch_size, mesh, config.optimizer.accumulate)
    if latest is None:
        return _Run(config, workdir, mesh).execute()
    recorded = describe(latest)
    config = with_num_classes(config, recorded.config["model"]["num_classes"])
    check_same_experiment(config, recorded, root)
    if recorded.result:
        logger.info(f"The run in {root} is complete.")
        return {**recorded.result, "checkpoint": str(latest)}
    return _Run(config, workdir, mesh, recorded).execute()


class _Run:
    """A process's part of a run. Nothing is written to disk until the constructor has checked everything."""

    def __init__(
        self, config: FrozenConfigDict, workdir: Workdir, mesh: Mesh, recorded: Description | None = None
    ) -> None:
        """Prepare a run, to resume from a checkpoint if its description is given."""
        self.workdir, self.root, self.mesh, self.recorded = workdir, workdir.root, mesh, recorded
        self.source = open_source(config.data, "train")
        self.config = with_num_classes(config, len(self.source.class_names))
        validation = open_source(config.data, "val")
        check_classes(self.source, self.config.model.num_classes)
        self.data = identify_data(self.source, validation, recorded, self.root)
        check_agreement({f"the data set's {name}": value for name, value in flatten(self.data).items()})
        self.timetable = make_timetable(self.config, len(self.source))
        if recorded:
            check_step(recorded.step, self.timetable, self.config, self.root)
        self._build(validation)
        self._choose_start()
        self.checkpoints = workdir.open_checkpoints(self.config)
        self.clock = Clock()

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
                on_full_disk=self.config.checkpoint.on_full_disk,
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
        if like.averaged_batch_stats and not state.averaged_batch_stats:  # not kept by formats 1 and 2
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
            with writing(self.root / "config.json", config.checkpoint.on_full_disk):
                (self.root / "config.json").write_text(json.dumps(to_json_dict(config), indent=2) + "\n")

    def _train(self, first: int, state: TrainState, stream: Iterator[Batch]) -> Result:
        timetable, reporter = self.timetable, self.reporter
        stuck_heads = StuckHeads(self.config.model.num_classes, timetable.warmup)
        pending: list[Metrics] = []  # of the steps since the last report; still on the devices
        result: Result = {}
        for step in range(first + 1, timetable.total + 1):
            batch = self._next_batch(stream)
            is_first = step == first + 1
            if is_first:
                self._compile_step(state, batch)
            with jax.transfer_guard("disallow"):
                state, metrics = self.step(state, batch)
            pending.append(metrics)
            reporter.advance()
            self.checkpoints.check()
            if step == 1 and reporter.enabled:
                reporter.samples(augmented_samples(batch, self.config))

            reports, evaluates = timetable.reports(step), timetable.evaluates(step)
            if not (reports or evaluates or is_first):
                continue
            # From here until the clock starts again, the devices have finished all steps.
            fetched = jax.device_get(pending)
            self._check_finite(step, fetched)
            if reports:
                self._report(step, fetched, stuck_heads)
                pending = []
            self.clock.stop()
            if evaluates or timetable.saves(step):
                state = self._measure_statistics(state)
            figures = self._evaluate(step, state) if evaluates else {}
            if step == timetable.total:
                result = self._result(step, figures)
                self._draw_curves(result)
            if timetable.saves(step):
                self._save(step, state, figures, result)
            self.clock.start()
        return {**result, "checkpoint": self.checkpoints.complete(timetable.total)}

    def _next_batch(self, stream: Iterator[Batch]) -> Batch:
        started = time.perf_counter()
        batch = next(stream)
        self.clock.count(self.config.batch_size, waited=time.perf_counter() - started)
        return batch

    def _compile_step(self, state: TrainState, batch: Batch) -> None:
        self.reporter.log("compiling the training step ...")
        started = time.perf_counter()
        with compilation.without_alarms():
            self.step = compile_together(self.step, state, batch)
        self.reporter.log(f"compiled the training step in {time.perf_counter() - started:.1f} s")

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
        check_finite("validation loss", [figures["loss"]], step, self._last_checkpoint)
        return figures

    def _result(self, step: int, figures: Mapping[str, Any]) -> Result:
        result: Result = {"step": step, **{name: figures[name] for name in ("top1", "top5", "loss")}}
        if self.config.data.on_error == "skip":
            counts = [record.get("train/bad_images", 0) for record in self.reporter.records]
            result["bad_images"] = int(sum(counts))
        return {**result, "images_per_second": round(self.clock.overall().images_per_second, 1)}

    def _draw_curves(self, result: Result) -> None:
        if not self.reporter.enabled:
            return
        with writing(self.root, self.config.checkpoint.on_full_disk):
            save_curves(self.root, self.reporter.records, title_of(self.config, result))

    def _save(self, step: int, state: TrainState, figures: Mapping[str, Any], result: Result) -> None:
        description = Description(
            step,
            to_json_dict(self.config),
            self.source.class_names,
            history=self.reporter.records,
            result=result,
            origin=self.origin,
            data=self.data,
        )
        self.workdir.check()
        self.checkpoints.save(
            step,
            weights=state.weights(),
            optimizer=state.optimizer(),
            description=description,
            metrics=figures,
        )
