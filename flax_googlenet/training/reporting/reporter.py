"""What a run shows: a progress bar or plain lines, metrics.jsonl, TensorBoard events."""

import json
import logging
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from ml_collections import FrozenConfigDict
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from flax_googlenet.config import flatten, to_json_dict
from flax_googlenet.errors import UserError
from flax_googlenet.training.reporting.clock import Lap

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.jsonl"


class Reporter:
    """Writes the figures of a run to every place that wants them.

    Attributes:
      records: of metrics.jsonl, which is written from them and never read.
    """

    def __init__(
        self,
        workdir: pathlib.Path,
        *,
        first_step: int,
        total_steps: int,
        history: Sequence[Mapping[str, float]] = (),
        enabled: bool = True,
    ) -> None:
        """Open the files, and write `history` anew whatever became of the file that held it.

        Args:
          workdir: directory of the run.
          first_step: step that the run starts or resumes from.
          total_steps: its length.
          history: records up to `first_step`, as the checkpoint there keeps them.
          enabled: false on all hosts but the first, which stay silent.

        Raises:
          UserError: metrics.jsonl cannot be written.
        """
        self.records = [dict(record) for record in history]
        self.enabled = enabled
        self._total = total_steps
        if not enabled:
            return
        path = workdir / METRICS_FILE
        try:
            path.write_text("".join(json.dumps(record) + "\n" for record in self.records))
            self._file = path.open("a", buffering=1)
        except OSError as error:
            raise UserError(
                f"Cannot write {path}: {error.strerror}; move away what is in its place."
            ) from error
        self._events = SummaryWriter(str(workdir / "events"), purge_step=first_step + 1)
        self._bar = tqdm.tqdm(
            total=total_steps,
            initial=first_step,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
        )

    def start(self, config: FrozenConfigDict) -> None:
        """Show TensorBoard the config, as text and as hyperparameters of this very run."""
        if not self.enabled:
            return
        text = json.dumps(to_json_dict(config), indent=2)
        self._events.add_text("config", f"```json\n{text}\n```", 0)
        scalars = bool | int | float | str
        values = {
            key: value if isinstance(value, scalars) else str(value) for key, value in flatten(config).items()
        }
        # `add_hparams` would open a run of its own for them, without the curves.
        experiment, session, _ = hparams(values, dict.fromkeys(("val/top1", "val/top5", "val/loss"), 0.0))
        for summary in (experiment, session):
            self._events.file_writer.add_summary(summary)

    def samples(self, images: np.ndarray) -> None:
        """Show TensorBoard some training images, uint8 [count, height, width, 3]."""
        if self.enabled:
            self._events.add_images("train/samples", images, 0, dataformats="NHWC")

    def advance(self) -> None:
        """One step was launched."""
        if self.enabled:
            self._bar.update()

    def train(self, step: int, figures: Mapping[str, float], lap: Lap, batch_size: int) -> None:
        """Report the steps since the last report.

        Args:
          step: number of updates made.
          figures: of `over_steps`.
          lap: their speed.
          batch_size: examples in a step.
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
            self.say(f"step {step}/{self._total}: {shown}")
        else:
            self._bar.set_postfix_str(shown, refresh=False)

    def evaluation(self, step: int, figures: Mapping[str, float]) -> None:
        """Report an evaluation."""
        self.say(
            f"step {step}/{self._total}: evaluated {figures['num_examples']} images, "
            f"top1 {figures['top1']:.4f}, top5 {figures['top5']:.4f}, loss {figures['loss']:.4f}"
        )
        self._write(step, {f"val/{name}": value for name, value in figures.items() if name != "num_examples"})

    def say(self, line: str) -> None:
        """Log a line."""
        if self.enabled:
            logger.info(line)

    def close(self) -> None:
        """Flush and close everything."""
        if self.enabled:
            self._bar.close()
            self._file.close()
            self._events.close()

    def _write(self, step: int, figures: Mapping[str, float]) -> None:
        record = {"step": step, **figures}
        self.records.append(record)
        if not self.enabled:
            return
        self._file.write(json.dumps(record) + "\n")
        for name, value in figures.items():
            self._events.add_scalar(name, value, step)


def over_steps(metrics: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """What consecutive steps come to: means, but the number of bad images and the last learning rate.

    >>> over_steps([{"loss": 3.0, "learning_rate": 0.0}, {"loss": 2.0, "learning_rate": 0.5}])
    {'loss': 2.5, 'learning_rate': 0.5}
    """
    figures = {name: float(np.mean([step[name] for step in metrics])) for name in metrics[0]}
    figures["learning_rate"] = float(metrics[-1]["learning_rate"])
    if "bad_images" in figures:
        figures["bad_images"] = int(sum(step["bad_images"] for step in metrics))
    return figures


def format_seconds(seconds: float) -> str:
    """Hours, minutes and seconds.

    >>> format_seconds(75), format_seconds(3600), format_seconds(float("nan"))
    ('1:15', '1:00:00', '?')
    """
    return tqdm.tqdm.format_interval(seconds).removeprefix("0") if math.isfinite(seconds) else "?"
