"""The goodput of a run: which share of its time went into steps that it kept, over all its restarts."""

import dataclasses
import datetime
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from flax_googlenet.paths import is_remote, replace_file
from flax_googlenet.training.reporting.clock import ACTIVITIES, Clock

logger = logging.getLogger(__name__)

GOODPUT_FILE = "goodput.json"

# Seconds between two writes of the file, on this machine and in a bucket. What a killed process did since
# the last one is not known.
_INTERVALS = (1.0, 30.0)

Summary = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Attempt:
    """What is known of one process of a run, from its start until it ended or was killed.

    Attributes:
      began: date and time, in ISO 8601.
      first_step: the step of the checkpoint from which it resumed; 0 for none.
      last_step: the last step that it made.
      seconds: seconds of each activity of `Clock`.
      compilation_saved: seconds that it would have compiled for longer without the compilation cache.
      conditions: its devices, commit and versions; {} in files of earlier versions.
    """

    began: str
    first_step: int
    last_step: int
    seconds: dict[str, float]
    compilation_saved: float
    conditions: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def summarize(attempts: Sequence[Attempt]) -> Summary:
    """Return where the time of a run went.

    A step is redone if a later attempt began before it. The time of an attempt's redone steps is its mean
    time per step, times their number.

    Args:
      attempts: in their order.

    Returns:
      "share", the share of the time that went into steps that were kept; "wall_seconds", the time of all
      attempts, without the time between them; "attempts" and "steps_redone", their numbers; "seconds",
      those of each activity, with those of redone steps apart; and "compilation_saved".

    >>> first = Attempt("", 0, 30, {"steps": 60.0, "start": 20.0}, 0.0)
    >>> second = Attempt("", 20, 50, {"steps": 60.0, "start": 20.0}, 8.0)
    >>> summary = summarize([first, second])
    >>> summary["share"], summary["steps_redone"], summary["seconds"]["redone_steps"]
    (0.625, 10, 20.0)
    """
    seconds = {"steps": 0.0, "redone_steps": 0.0, **dict.fromkeys(ACTIVITIES[1:], 0.0)}
    steps_redone = 0
    for index, attempt in enumerate(attempts):
        for activity, spent in attempt.seconds.items():
            seconds[activity] += spent
        made = attempt.last_step - attempt.first_step
        kept_until = min((later.first_step for later in attempts[index + 1 :]), default=attempt.last_step)
        redone = min(max(attempt.last_step - kept_until, 0), made)
        if redone:
            lost = attempt.seconds["steps"] * redone / made
            seconds["steps"] -= lost
            seconds["redone_steps"] += lost
            steps_redone += redone
    wall = sum(seconds.values())
    return {
        "share": round(seconds["steps"] / wall, 4) if wall else 0.0,
        "wall_seconds": round(wall, 1),
        "attempts": len(attempts),
        "steps_redone": steps_redone,
        "seconds": {activity: round(spent, 1) for activity, spent in seconds.items()},
        "compilation_saved": round(sum(attempt.compilation_saved for attempt in attempts), 1),
    }


def shares(summary: Summary) -> dict[str, float]:
    """Return the share of the time of each activity.

    >>> shares({"wall_seconds": 80.0, "seconds": {"steps": 60.0, "start": 20.0}})
    {'steps': 0.75, 'start': 0.25}
    """
    wall = summary["wall_seconds"]
    return {name: round(spent / wall, 4) if wall else 0.0 for name, spent in summary["seconds"].items()}


def sentence(summary: Summary) -> str:
    """Return a summary as a line of the log.

    >>> sentence({"share": 0.75, "wall_seconds": 80.0, "attempts": 1, "steps_redone": 0,
    ...           "seconds": {"steps": 60.0, "start": 20.0, "save": 0.0}, "compilation_saved": 0.0})
    'goodput 75.0% of 80.0 s in 1 attempt: steps 60.0 s, start 20.0 s'
    """
    attempts = f"{summary['attempts']} attempt" + ("s" if summary["attempts"] > 1 else "")
    parts = [f"{name.replace('_', ' ')} {spent} s" for name, spent in summary["seconds"].items() if spent]
    return f"goodput {summary['share']:.1%} of {summary['wall_seconds']} s in {attempts}: {', '.join(parts)}"


def read_summary(root: epath.Path) -> Summary:
    """Return what goodput.json of a workdir says, without the history of attempts; {} if there is none."""
    return summarize(attempts) if (attempts := _read(root / GOODPUT_FILE)) else {}


def read_conditions(root: epath.Path) -> Mapping[str, Any]:
    """Return the conditions of the last attempt that goodput.json of a workdir lists; {} if it has none."""
    attempts = _read(root / GOODPUT_FILE)
    return attempts[-1].conditions if attempts else {}


class Goodput:
    """Accounts for the time of a run in goodput.json, which a thread rewrites.

    A process that is killed has no chance to say what it did, so the file is never older than a second or,
    in a bucket, half a minute. It holds the summary and the history of attempts.

    Attributes:
      saved: seconds that the compilation cache has saved this process.
    """

    def __init__(
        self,
        root: epath.Path,
        clock: Clock,
        *,
        first_step: int,
        enabled: bool = True,
        interval: float | None = None,
        conditions: Mapping[str, Any] | None = None,
    ) -> None:
        """Read the attempts before this one.

        Args:
          root: the workdir.
          clock: the clock of this process.
          first_step: the step at which this process starts or resumes.
          enabled: whether to write. Only process 0 does.
          interval: seconds between two writes.
          conditions: those of this process.
        """
        self._path, self._clock, self._first_step = root / GOODPUT_FILE, clock, first_step
        self._earlier = _read(self._path)
        spent = sum(clock.seconds().values())
        began = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=spent)
        self._began = began.isoformat(timespec="seconds")
        self.saved = 0.0
        self._enabled, self._conditions = enabled, conditions or {}
        self._interval = _INTERVALS[is_remote(root)] if interval is None else interval
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._final: list[Attempt] | None = None

    def start(self) -> None:
        """Write the file from now on."""
        if self._enabled:
            self._thread = threading.Thread(target=self._keep_writing, name="goodput", daemon=True)
            self._thread.start()

    def count_saved(self, seconds: float) -> None:
        """Count seconds that the compilation cache saved."""
        self.saved += seconds

    def summary(self) -> Summary:
        """Return where the time of the run went until now, or until `close`."""
        return summarize(self._final or self._attempts())

    def close(self) -> None:
        """Write the file for the last time."""
        self._final = self._attempts()
        self._closed.set()
        if self._thread:
            self._thread.join()
            self._write(self._final)

    def _attempts(self) -> list[Attempt]:
        last_step = self._first_step + self._clock.steps_done
        seconds = {name: round(spent, 3) for name, spent in self._clock.seconds().items()}
        own = Attempt(
            self._began, self._first_step, last_step, seconds, round(self.saved, 3), self._conditions
        )
        return [*self._earlier, own]

    def _keep_writing(self) -> None:
        could_write = True
        while True:
            can_write = self._write(self._attempts(), warn=could_write)
            could_write = can_write
            if self._closed.wait(self._interval):
                return

    def _write(self, attempts: Sequence[Attempt], *, warn: bool = True) -> bool:
        """Replace the file, and return whether that succeeded. The run goes on without."""
        content = {**summarize(attempts), "history": [dataclasses.asdict(attempt) for attempt in attempts]}
        text = json.dumps(content, indent=1) + "\n"
        try:
            replace_file(self._path, text.encode())
        except OSError as error:
            if warn:
                logger.warning(f"cannot write {self._path}: {error.strerror}; its figures fall behind")
            return False
        return True


def _read(path: epath.Path) -> list[Attempt]:
    """Return the attempts of a file; none if there is no file, or if it is corrupt."""
    try:
        attempts = [Attempt(**attempt) for attempt in json.loads(path.read_text())["history"]]
        summarize(attempts)  # fails if an attempt lacks an activity
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning(f"{path} cannot be read ({error}); the goodput counts from this attempt on")
        return []
    return attempts
