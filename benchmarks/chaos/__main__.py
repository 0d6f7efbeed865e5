"""Train under signals, and compare the end with that of a run that got none.

  python -m benchmarks.chaos --kills=100
  python -m benchmarks.chaos --kills=20 --signal=TERM --out=FILE.json
  python -m benchmarks.chaos --kills=5 --signal=STOP
  python -m benchmarks.chaos --kills=100 --in_background

Trains the network with batch normalization and averaged weights on two fake devices, of one process or of two
by turns. SIGKILL comes at random moments of steps, evaluations, saves, start-up and compilation, to all
processes or to one of them, and the same command is started again. When a training is complete, the next one
begins, until all signals were sent. A save is complete before the next step, or is written meanwhile with
`--in_background`. The result has the steps that were made again, and whether parameters, optimizer state,
batch statistics, averaged weights and metrics are those of a run that got no signal, bit for bit. The exit
status is 1 if a signal was not survived.

With SIGTERM every process has to end with status 75 after a save of its last step. SIGSTOP stops one process
of two, and the other one has to end with status 75.
"""

import collections
import pathlib
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from benchmarks.chaos.plan import PHASES, draw
from benchmarks.chaos.series import Record, Series, Setting
from benchmarks.conditions import conditions, write_result
from launch.common import command

_KILLS = flags.DEFINE_integer("kills", 100, "Number of signals.", lower_bound=1)
_SIGNAL = flags.DEFINE_enum("signal", "KILL", ["KILL", "TERM", "STOP"], "Signal to send.")
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the moments.")
_STEPS = flags.DEFINE_integer("steps", 96, "Length of a training in steps.", lower_bound=1)
_SAVE_EVERY = flags.DEFINE_integer("save_every", 12, "Steps between two saves.", lower_bound=1)
_EVALUATE_EVERY = flags.DEFINE_integer("evaluate_every", 24, "Steps between two evaluations.", lower_bound=1)
_IN_BACKGROUND = flags.DEFINE_bool(
    "in_background", False, "Whether training goes on while a checkpoint is written."
)
_TRAIN = flags.DEFINE_string(
    "train", Setting.module, "Module to start; another one may train a smaller network."
)
_OUT = flags.DEFINE_string("out", None, "JSON file for the result.")
_DIRECTORY = flags.DEFINE_string(
    "directory", None, "Directory for the runs; by default a temporary one. Failed runs stay in it."
)

SILENCE_TIMEOUT = 5


def main(arguments: Sequence[str]) -> dict[str, Any]:
    command.refuse_arguments(arguments)
    setting = Setting(
        _SIGNAL.value,
        steps=_STEPS.value,
        save_every=_SAVE_EVERY.value,
        evaluate_every=_EVALUATE_EVERY.value,
        silence_timeout=SILENCE_TIMEOUT,
        in_background=_IN_BACKGROUND.value,
        module=_TRAIN.value,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
        directory = pathlib.Path(_DIRECTORY.value or temporary)
        directory.mkdir(parents=True, exist_ok=True)
        series = Series(setting, directory)
        series.train_undisturbed()
        series.disturb(draw(_KILLS.value, setting.signal, _SEED.value))
    result = {
        "signal": setting.signal,
        "kills": len(series.records),
        "survived": sum(not record.failure for record in series.records),
        "seed": _SEED.value,
        "trainings": series.trainings - 1,  # without the one that got no signal
        "steps": setting.steps,
        "save_every": setting.save_every,
        "evaluate_every": setting.evaluate_every,
        "in_background": setting.in_background,
        "silence_timeout": setting.silence_timeout,
        "starts_ended_by_themselves": series.ended_by_themselves,
        "phases": {
            phase: _summary(record for record in series.records if record.phase == phase) for phase in PHASES
        },
        "all_phases": _summary(series.records),
        "one_of_two": sum(len(record.moment.victims) < record.moment.hosts for record in series.records),
        "records": [str(record) for record in series.records],
        "identical": series.digests,
        "seconds": round(time.monotonic() - started),
        "conditions": conditions(["flax", "orbax-checkpoint", "numpy"], device="2 x cpu"),
    }
    write_result(_OUT.value, result)
    return result


def _summary(records: Iterable[Record]) -> dict[str, Any]:
    """Return figures of some signals; seconds are those until the other processes had ended."""
    records = list(records)
    redone = [record.redone for record in records]
    ended = [record for record in records if record.statuses]
    statuses = collections.Counter(status for record in ended for status in record.statuses)
    return {
        "count": len(records),
        "survived": sum(not record.failure for record in records),
        "steps_redone": sum(redone),
        "most_redone": max(redone, default=0),
        "statuses": {_name(status): count for status, count in sorted(statuses.items(), key=str)},
        "most_seconds": max((record.seconds for record in ended), default=0.0),
    }


def _name(status: int | None) -> str:
    if status is None:
        return "still running"
    return signal.Signals(-status).name if status < 0 else str(status)


def exit_status(result: Mapping[str, Any]) -> int:
    """Return the exit status of the command."""
    return int(result["survived"] < result["kills"])


if __name__ == "__main__":
    command.run(main, exit_status=exit_status)
