"""Reports of a run: a progress bar or log lines, metrics.jsonl and TensorBoard events."""

import contextlib
import json
import logging
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tqdm
from jax.sharding import Mesh
from jaxtyping import UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.config import flatten, to_json_dict
from flax_googlenet.disk import writing
from flax_googlenet.distributed import process_count
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from flax_googlenet.training.reporting.clock import Lap
from flax_googlenet.training.reporting.growing_files import GrowingFiles
from flax_googlenet.training.reporting.tensorboard import SummaryWriter, hparams, keep_alive

logger = logging.getLogger(__name__)

METRICS_FILE, CONFIG_FILE = "metrics.jsonl", "config.json"

# The figures of metrics.jsonl that depend on the machine and on restarts. All others of a run are the same
# whenever it runs, and however often it is killed.
TIMINGS = ("train/images_per_second", "train/data_wait", "train/goodput")

Figures = Mapping[str, int | float]


class Reporter:
    """Reports the figures of a run on the terminal, in metrics.jsonl and to TensorBoard.

    Attributes:
      records: records of metrics.jsonl. The file is written from them and never read.
    """

    def __init__(
        self,
        workdir: str | os.PathLike,
        *,
        first_step: int,
        total_steps: int,
        history: Sequence[Figures] = (),
        enabled: bool = True,
        on_full_disk: str = "stop",
    ) -> None:
        """Open the files. metrics.jsonl is replaced by `history`, whatever it contained.

        Args:
          workdir: directory of the run.
          first_step: step at which the run starts or resumes.
          total_steps: length of the run.
          history: records up to `first_step`, from its checkpoint.
          enabled: whether to report. Only process 0 does; all processes keep the records.
          on_full_disk: "stop", so that a record that cannot be written is an error; or "continue", so that
            it is written as soon as there is room.

        Raises:
          UserError: if metrics.jsonl cannot be written.
        """
        self.records: list[dict[str, int | float]] = [dict(record) for record in history]
        self.enabled = enabled
        self._workdir, self._first, self._total = resolve_path(workdir), first_step, total_steps
        self._on_full_disk = on_full_disk
        self._event_errors: list[OSError] = []
        if not enabled:
            return
        self._files = GrowingFiles(self._workdir, "reporter")
        path = self._files.directory / METRICS_FILE
        try:
            path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
            self._file = path.open("a")
        except OSError as error:
            raise UserError(
                f"Cannot write {path}: {error.strerror}; move away what is in its place."
            ) from error
        self._events = SummaryWriter(str(self._files.directory / "events"), purge_step=first_step + 1)
        keep_alive(self._events, self._event_errors.append)
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=first_step,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def start(self, config: FrozenConfigDict, mesh: Mesh) -> None:
        """Report what the run is about to do, and record its config.

        The config goes into config.json, and to TensorBoard as text and as hyperparameters.
        """
        verb = f"resuming at step {self._first} of" if self._first else "training for"
        steps = f"{self._total} steps of {config.batch_size} images"
        devices = f"{mesh.size} x {jax.devices()[0].device_kind}"
        if process_count() > 1:
            devices += f" of {process_count()} processes"
        self.log(f"{verb} {steps} on {devices}, into {self._workdir}")
        if not self.enabled:
            return
        text = json.dumps(to_json_dict(config), indent=2)
        with writing(self._workdir / CONFIG_FILE, self._on_full_disk):
            (self._workdir / CONFIG_FILE).write_text(text + "\n")
        self._events.add_text("config", f"```json\n{text}\n```", 0)
        scalars = bool | int | float | str
        values = {
            key: value if isinstance(value, scalars) else str(value) for key, value in flatten(config).items()
        }
        # `add_hparams` would write them as a separate run, apart from the curves.
        experiment, session, _ = hparams(values, dict.fromkeys(("val/top1", "val/top5", "val/loss"), 0.0))
        for summary in (experiment, session):
            self._events.file_writer.add_summary(summary)

    def samples(self, images: UInt8[np.ndarray, "samples height width 3"]) -> None:
        """Write training images to TensorBoard."""
        if self.enabled:
            self._events.add_images("train/samples", images, 0, dataformats="NHWC")

    def advance(self) -> None:
        """Advance the progress bar by a step."""
        if self.enabled:
            self._bar.update()

    def train(self, step: int, figures: Figures, lap: Lap, batch_size: int) -> None:
        """Report the steps since the last report.

        Args:
          step: number of updates made.
          figures: figures of these steps, from `over_steps`.
          lap: speed of these steps. Its share of "steps" goes into metrics.jsonl, all go to TensorBoard.
          batch_size: number of examples in a step.
        """
        timings = dict(zip(TIMINGS, (lap.images_per_second, lap.data_wait, lap.shares["steps"]), strict=True))
        self._write(step, {**{f"train/{name}": value for name, value in figures.items()}, **timings})
        if self.enabled:
            for name, value in lap.shares.items():
                self._events.add_scalar(f"time/{name}", value, step)
        left = (
            (self._total - step) * batch_size / lap.images_per_second if lap.images_per_second else math.nan
        )
        shown = (
            f"loss {figures['loss']:.4f}, {lap.images_per_second:.1f} images/s, "
            f"{lap.data_wait:.0%} waiting for data, {format_seconds(left)} left"
        )
        is_bar_shown = self.enabled and not self._bar.disable
        if is_bar_shown:
            self._bar.set_postfix_str(shown, refresh=False)
        self.log(f"step {step}/{self._total}: {shown}", logging.DEBUG if is_bar_shown else logging.INFO)

    def evaluation(self, step: int, figures: Figures) -> None:
        """Report an evaluation.

        Args:
          step: number of updates made.
          figures: figures of an `Evaluator`.
        """
        self.log(
            f"step {step}/{self._total}: evaluated {figures['num_examples']} images, "
            f"top1 {figures['top1']:.4f}, top5 {figures['top5']:.4f}, loss {figures['loss']:.4f}"
        )
        self._write(step, {f"val/{name}": value for name, value in figures.items() if name != "num_examples"})

    def log(self, message: str, level: int = logging.INFO) -> None:
        """Log a message. What all processes say is for the terminal of the first one only."""
        is_shown = self.enabled or level > logging.INFO
        logger.log(level if is_shown else logging.DEBUG, message)

    def upload(self, *, at_once: bool) -> None:
        """Upload metrics.jsonl and TensorBoard events, if the workdir is in a bucket.

        Args:
          at_once: whether to do so even if the last time was less than a minute ago.
        """
        if self.enabled and (at_once or self._files.is_due):
            self._events.flush()
            self._files.upload()

    def close(self) -> None:
        """Close the progress bar and all files."""
        if self.enabled:
            self._bar.close()
            self._events.close()
            with self._writing():
                self._file.close()
            self._files.close()

    def _write(self, step: int, figures: Figures) -> None:
        record: dict[str, int | float] = {"step": step, **figures}
        self.records.append(record)
        if not self.enabled:
            return
        with self._writing():
            self._file.write(json.dumps(record) + "\n")
            self._file.flush()  # if this fails, the next one tries again
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self._workdir, self._on_full_disk):
            if self._event_errors:
                raise self._event_errors.pop()
        with writing(self._workdir, self._on_full_disk):
            yield


def over_steps(metrics: Sequence[Mapping[str, Any]]) -> dict[str, int | float]:
    """Return the means over consecutive steps, the last learning rate, and the sum of bad images.

    Args:
      metrics: metrics of each step.

    >>> over_steps([{"loss": 3.0, "learning_rate": 0.0}, {"loss": 2.0, "learning_rate": 0.5}])
    {'loss': 2.5, 'learning_rate': 0.5}
    """
    figures: dict[str, int | float] = {
        name: float(np.mean([step[name] for step in metrics])) for name in metrics[0]
    }
    figures["learning_rate"] = float(metrics[-1]["learning_rate"])
    if "bad_images" in figures:
        figures["bad_images"] = int(sum(step["bad_images"] for step in metrics))
    return figures


def format_seconds(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    >>> format_seconds(75.0), format_seconds(3600.0), format_seconds(float("nan"))
    ('1:15', '1:00:00', '?')
    """
    return tqdm.tqdm.format_interval(seconds).removeprefix("0") if math.isfinite(seconds) else "?"
