"""Reports of a run: a progress bar or log lines, metrics.jsonl and TensorBoard events."""

import json
import logging
import math
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from jaxtyping import UInt8
from ml_collections import FrozenConfigDict

from flax_googlenet.config import flatten, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.paths import resolve_path
from flax_googlenet.training.reporting.clock import Lap
from flax_googlenet.training.reporting.growing_files import GrowingFiles
from flax_googlenet.training.reporting.tensorboard import SummaryWriter, hparams

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"

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
    ) -> None:
        """Open the files. metrics.jsonl is replaced by `history`, whatever it contained.

        Args:
          workdir: directory of the run.
          first_step: step at which the run starts or resumes.
          total_steps: length of the run.
          history: records up to `first_step`, from its checkpoint.
          enabled: whether to report. Only process 0 does; all processes keep the records.

        Raises:
          UserError: if metrics.jsonl cannot be written.
        """
        self.records: list[dict[str, int | float]] = [dict(record) for record in history]
        self.enabled = enabled
        self._total = total_steps
        if not enabled:
            return
        self._files = GrowingFiles(resolve_path(workdir), "reporter")
        path = self._files.directory / METRICS_FILE
        try:
            path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
            self._file = path.open("a")
        except OSError as error:
            raise UserError(
                f"Cannot write {path}: {error.strerror}; move away what is in its place."
            ) from error
        self._events = SummaryWriter(str(self._files.directory / "events"), purge_step=first_step + 1)
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=first_step,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def start(self, config: FrozenConfigDict) -> None:
        """Write the config to TensorBoard, as text and as hyperparameters."""
        if not self.enabled:
            return
        text = json.dumps(to_json_dict(config), indent=2)
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
          lap: speed of these steps.
          batch_size: number of examples in a step.
        """
        speed = {"images_per_second": lap.images_per_second, "data_wait": lap.data_wait}
        self._write(step, {f"train/{name}": value for name, value in {**figures, **speed}.items()})
        if not self.enabled:
            return
        left = (
            (self._total - step) * batch_size / lap.images_per_second if lap.images_per_second else math.nan
        )
        shown = (
            f"loss {figures['loss']:.4f}, {lap.images_per_second:.1f} images/s, "
            f"{lap.data_wait:.0%} waiting for data, {format_seconds(left)} left"
        )
        if self._bar.disable:
            self.log(f"step {step}/{self._total}: {shown}")
        else:
            self._bar.set_postfix_str(shown, refresh=False)

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
        """Log a message."""
        if self.enabled:
            logger.log(level, message)

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
            self._file.close()
            self._events.close()
            self._files.close()

    def _write(self, step: int, figures: Figures) -> None:
        record: dict[str, int | float] = {"step": step, **figures}
        self.records.append(record)
        if not self.enabled:
            return
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)


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
