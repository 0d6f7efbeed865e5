"""A whole run: train, report, evaluate, checkpoint, resume."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh
from ml_collections import FrozenConfigDict

from flax_googlenet.checkpoints import Checkpoints, Description, describe, find_latest, verify_digests
from flax_googlenet.compilation import without_alarms
from flax_googlenet.config import first_difference, flatten, resolve, to_json_dict, with_num_classes
from flax_googlenet.data import (
    Source,
    TrainBatches,
    check_classes,
    check_same_classes,
    open_source,
    to_devices,
)
from flax_googlenet.data.sources.identity import check_same_data, describe_data
from flax_googlenet.errors import UserError
from flax_googlenet.evaluation import Evaluator, Member
from flax_googlenet.inheritance import resolve_config
from flax_googlenet.models import build_model
from flax_googlenet.sharding import check_batch_size, data_mesh, replicate, split_batch
from flax_googlenet.training.averaging import make_statistics
from flax_googlenet.training.durations import to_steps
from flax_googlenet.training.fine_tuning import Start, read_start, with_weights
from flax_googlenet.training.health import StuckHeads, check_finite
from flax_googlenet.training.initial_state import place_initial_state
from flax_googlenet.training.optimizer import build_optimizer, build_schedule
from flax_googlenet.training.parameter_groups import check_patterns
from flax_googlenet.training.reporting.clock import Clock
from flax_googlenet.training.reporting.curves import save_curves, title_of
from flax_googlenet.training.reporting.reporter import Reporter, over_steps
from flax_googlenet.training.reporting.samples import augmented_samples
from flax_googlenet.training.state import TrainState, initial_state
from flax_googlenet.training.step import Metrics, make_train_step

logger = logging.getLogger(__name__)

Batch = dict[str, jax.Array]
Result = dict[str, Any]
Records = Sequence[Mapping[str, float]]  # as in metrics.jsonl


def train(config: Mapping[str, Any], workdir: str | os.PathLike) -> Result:
    """Train until the config's duration is over, going on from the last checkpoint.

    The same call resumes a killed run, exactly, and answers at once for a complete one.

    Args:
      config: what the experiment sets, see `resolve_config`, which fills in the rest.
      workdir: directory of the run; made if it is not there.

    Returns:
      "step"; "top1", "top5" and "loss" of the last evaluation; "images_per_second", of
      training alone; "checkpoint", the directory of the last one; and, where broken images
      are skipped, "bad_images", how often another had to take the place of one.

    Raises:
      UserError: the config, the data or the workdir cannot be used, or the loss is no
        longer a number.
    """
    workdir = os.fspath(workdir)
    return _train(resolve_config(config, workdir), workdir)


def _train(config: FrozenConfigDict, workdir: str) -> Result:
    mesh = data_mesh()
    check_batch_size(config.batch_size, mesh, config.optimizer.accumulate)
    root = pathlib.Path(workdir).expanduser().absolute()
    latest = find_latest(str(root))
    recorded = None
    if latest is not None:
        recorded = describe(latest)
        if not recorded.step:
            raise UserError(
                f"{root} holds imported weights, not a run; choose another workdir and start from them with "
                f"init_from={root}."
            )
        config = with_num_classes(config, recorded.config["model"]["num_classes"])
        _check_same_experiment(config, recorded, root)
        if recorded.result:
            verify_digests(latest)
            logger.info(f"The run in {root} is complete.")
            return {**recorded.result, "checkpoint": str(latest)}
    return _Run(config, root, mesh, recorded).go()


def _check_same_experiment(config: FrozenConfigDict, recorded: Description, root: pathlib.Path) -> None:
    theirs = resolve(recorded.config)
    key = first_difference(theirs, config)
    if key is not None:
        raise UserError(
            f"{root} holds checkpoints of another experiment: config.{key} is {flatten(theirs)[key]!r} there "
            f"and {flatten(config)[key]!r} here; choose another workdir."
        )


def _identify(
    train: Source, validation: Source, recorded: Description | None, root: pathlib.Path
) -> dict[str, Any]:
    """Return what checkpoints record of the data set, after comparing it with what one recorded."""
    check_same_classes(
        train.class_names,
        validation.class_names,
        "the training split",
        "the validation split",
        "give both the same classes",
    )
    data = describe_data({"train": train, "val": validation})
    if recorded:
        check_same_classes(
            recorded.class_names,
            train.class_names,
            f"the run in {root}",
            "the data set",
            "restore the data set, or start a run in another workdir",
        )
        check_same_data(recorded.data, data, root)
    return data


def _open_checkpoints(config: FrozenConfigDict, root: pathlib.Path) -> Checkpoints:
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):  # which asks the file system, where permissions do not tell
            pass
    except OSError as error:
        raise UserError(
            f"Cannot write to the workdir {root}: {error.strerror}; choose another workdir."
        ) from error
    return Checkpoints(
        str(root), keep_last=config.checkpoint.keep_last, keep_best=config.checkpoint.keep_best
    )


class _Run:
    """One process's share of a run; `recorded` is what its last checkpoint says, if it has one."""

    def __init__(
        self, config: FrozenConfigDict, root: pathlib.Path, mesh: Mesh, recorded: Description | None
    ) -> None:
        self.source = open_source(config.data, "train")
        config = with_num_classes(config, len(self.source.class_names))
        self.config, self.root, self.mesh = config, root, mesh
        validation = open_source(config.data, "val")
        check_classes(self.source, config.model.num_classes)
        self.data = _identify(self.source, validation, recorded, root)
        self.recorded = recorded
        self.total_steps = self.steps(config.duration)
        if recorded and recorded.step > self.total_steps:
            raise UserError(
                f'The run in {root} is at step {recorded.step}, and config.duration "{config.duration}" ends '
                f"at {self.total_steps} with this data set; restore the one that it began with."
            )
        if self.total_steps < 1:
            raise UserError(f'config.duration "{config.duration}" is no step at all; make it longer.')
        self.log_every = max(self.steps(config.log_every), 1)
        self.evaluate_every = self.steps(config.evaluation.every)
        self.save_every = self.steps(config.checkpoint.every)

        model = build_model(config.model)
        schedule = build_schedule(config, total_steps=self.total_steps, epoch_size=len(self.source))
        optimizer = build_optimizer(config.optimizer, schedule)
        averaging_start = self.steps(config.averaging.start)
        self.step: Any = make_train_step(config, model, optimizer, schedule, mesh, averaging_start)
        self.statistics = make_statistics(config, model, self.source, mesh)
        self.evaluator = Evaluator(
            [Member(model, config.data)], validation, mesh, batch_size=config.evaluation.batch_size
        )
        self.make_state = lambda: place_initial_state(config, model, optimizer, replicate(mesh))
        self.like = jax.eval_shape(lambda: initial_state(config, model, optimizer))
        check_patterns(config.optimizer, self.like.params)
        self.origin = recorded.origin if recorded else {}
        self.start: Start | None = None
        if config.init_from and not recorded:
            self.start = read_start(
                config.init_from, self.like.params, self.like.batch_stats, self.source.class_names
            )
            self.origin = self.start.origin
        # Only now that nothing is wrong with what was asked does anything touch the disk.
        self.checkpoints = _open_checkpoints(config, root)
        self.clock = Clock()

    def steps(self, duration: str) -> int:
        return to_steps(duration, batch_size=self.config.batch_size, epoch_size=len(self.source))

    def restore_or_start(self) -> tuple[int, TrainState]:
        everywhere = replicate(self.mesh)
        if self.recorded is None:
            state = self.make_state()
            return 0, with_weights(state, self.start, everywhere) if self.start else state
        like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), self.like)
        step = self.recorded.step
        weights, rest = self.checkpoints.restore(step, weights=like.weights(), optimizer=like.optimizer())
        state = TrainState(**weights, **rest)
        if like.averaged_batch_stats and not state.averaged_batch_stats:  # begun by a former version
            state = self.measure_statistics(state)
        return step, state

    def go(self) -> Result:
        config, total = self.config, self.total_steps
        is_first_host = jax.process_index() == 0
        with contextlib.ExitStack() as stack:
            stack.callback(self.checkpoints.close)
            first, state = self.restore_or_start()
            reporter = Reporter(
                self.root,
                first_step=first,
                total_steps=total,
                history=self.recorded.history if self.recorded else (),
                enabled=is_first_host,
            )
            stack.callback(reporter.close)
            devices = f"{self.mesh.size} x {jax.devices()[0].device_kind}"
            verb = f"resuming at step {first} of" if first else "training for"
            reporter.start(config)
            reporter.say(f"{verb} {total} steps of {config.batch_size} images on {devices}, into {self.root}")
            if self.start:
                reporter.say(self.start.summary)
                self.start = None  # which is a copy of all weights
            if is_first_host:
                (self.root / "config.json").write_text(json.dumps(to_json_dict(config), indent=2) + "\n")
            batches = TrainBatches(self.source, config.data, config.seed, config.batch_size)
            stream = to_devices(batches, range(first, total), split_batch(self.mesh))
            stack.callback(stream.close)
            return self.loop(first, state, stream, reporter)

    def loop(self, first: int, state: TrainState, stream: Iterator[Batch], reporter: Reporter) -> Result:
        config, total = self.config, self.total_steps
        stuck = StuckHeads(config.model.num_classes, self.steps(config.schedule.warmup))
        pending: list[Metrics] = []  # of the steps since the last report; still on the devices
        result: Result = {}
        for step in range(first + 1, total + 1):
            asked = time.perf_counter()
            batch = next(stream)
            self.clock.count(config.batch_size, waited=time.perf_counter() - asked)
            if step == first + 1:
                self.compile_step(state, batch, reporter)
            with jax.transfer_guard("disallow"):
                state, metrics = self.step(state, batch)
            pending.append(metrics)
            reporter.advance()
            if step == 1 and reporter.enabled:
                reporter.samples(augmented_samples(batch, config))

            evaluates = self.is_time(step, self.evaluate_every)
            saves = self.is_time(step, self.save_every)
            # Reported before it is saved, or the steps since the last report would be lost to a resumed run.
            reports = saves or self.is_time(step, self.log_every)
            compiles = step == first + 1
            if not (reports or evaluates or saves or compiles):
                continue
            # From here to the clock's restart the devices have caught up with the host.
            fetched = jax.device_get(pending)
            for name in ("loss", "gradient_norm"):
                check_finite(name, [each[name] for each in fetched], step - len(fetched) + 1, self.last_good)
            if reports:
                shown = over_steps(fetched)
                reporter.train(step, shown, self.clock.lap(), config.batch_size)
                for warning in stuck.warnings(step, shown):
                    reporter.say(warning)
                pending = []
            self.clock.stop()
            if evaluates or saves:
                state = self.measure_statistics(state)
            figures = self.evaluator([state.evaluation_variables()]) if evaluates else {}
            if evaluates:
                reporter.evaluation(step, figures)
                check_finite("validation loss", [figures["loss"]], step, self.last_good)
            if step == total:
                result = self.result(step, figures, reporter.records)
                self.draw_curves(result, reporter.records)
            if saves:
                self.save(step, state, figures, result, reporter.records)
            self.clock.start()
        return {**result, "checkpoint": self.checkpoints.path(total)}

    def measure_statistics(self, state: TrainState) -> TrainState:
        if not state.averaged_params or not state.batch_stats:
            return state
        measured = self.statistics(state.averaged_params, state.batch_stats)
        return dataclasses.replace(state, averaged_batch_stats=measured)

    def compile_step(self, state: TrainState, batch: Batch, reporter: Reporter) -> None:
        reporter.say("compiling the training step ...")
        started = time.perf_counter()
        with without_alarms():
            self.step = self.step.lower(state, batch).compile()
        reporter.say(f"compiled the training step in {time.perf_counter() - started:.1f} s")

    def is_time(self, step: int, every: int) -> bool:
        """The one place that decides when to report, evaluate and save: at the end in any case."""
        return step == self.total_steps or bool(every and step % every == 0)

    def last_good(self) -> str | None:
        self.checkpoints.wait()
        latest = self.checkpoints.latest_step
        return self.checkpoints.path(latest) if latest is not None else None

    def result(self, step: int, figures: dict[str, Any], records: Records) -> Result:
        chosen = {name: figures[name] for name in ("top1", "top5", "loss")}
        if self.config.data.on_error == "skip":
            met = sum(record.get("train/bad_images", 0) for record in records)
            chosen |= {"bad_images": int(met)}
        return {"step": step, **chosen, "images_per_second": round(self.clock.overall().images_per_second, 1)}

    def draw_curves(self, result: Result, records: Records) -> None:
        if jax.process_index() == 0:
            save_curves(self.root, records, title_of(self.config, result))

    def save(self, step: int, state: TrainState, figures: Result, result: Result, records: Records) -> None:
        self.checkpoints.save(
            step,
            weights=state.weights(),
            optimizer=state.optimizer(),
            description=Description(
                step,
                to_json_dict(self.config),
                self.source.class_names,
                records,
                result,
                self.origin,
                self.data,
            ),
            metrics=figures,
        )
