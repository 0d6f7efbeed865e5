"""A series of trainings that get signals, each started again by the same command until it is complete."""

import dataclasses
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Sequence

from benchmarks.chaos.attempt import POLL, Attempt
from benchmarks.chaos.outcome import digests
from benchmarks.chaos.plan import PHASES, Moment
from flax_googlenet.distributed.watchdog import TRY_AGAIN
from flax_googlenet.errors import UserError

PATIENCE = 1200.0  # seconds for what takes a few on an idle machine
START_TIMEOUT = 60  # seconds that a process waits at the start for one that was killed

# Seconds beyond --silence_timeout in which the other process has to end: signs of life come every second, and
# the service may take some to answer.
GRACE = 10.0

_MOST_RESTARTS = 5  # in a row of processes that end with status 75 by themselves


@dataclasses.dataclass(frozen=True)
class Setting:
    """A training, and how it is treated.

    Attributes:
      signal: "KILL", "TERM" or "STOP".
      steps: length of a training.
      save_every, evaluate_every: steps between two saves, and between two evaluations.
      silence_timeout: seconds after which a process without a sign of life counts as dead.
      in_background: whether training goes on while a checkpoint is written.
      module: the module to start, which takes the flags of `launch.train`.
    """

    signal: str
    steps: int
    save_every: int
    evaluate_every: int
    silence_timeout: int
    in_background: bool = False
    module: str = "launch.train"

    def flags(self) -> list[str]:
        """Return the flags of `launch.train`."""
        values = {
            "model.variant": "bn",
            "model.normalization": "batch",
            "model.aux_heads": 0,
            "data.image_size": 32,
            "data.resize": 32,
            "data.mirror": True,
            "batch_size": 16,
            "duration": f"{self.steps} steps",
            "schedule.warmup": "10 steps",
            "averaging.kind": "ema",
            "averaging.decay": 0.9,
            "log_every": "1 step",
            "evaluation.every": f"{self.evaluate_every} steps",
            "checkpoint.every": f"{self.save_every} steps",
            "checkpoint.in_background": self.in_background,
        }
        timeouts = [f"--silence_timeout={self.silence_timeout}", f"--start_timeout={START_TIMEOUT}"]
        return [f"--config.{key}={value}" for key, value in values.items()] + timeouts


@dataclasses.dataclass
class Record:
    """A signal, and what came of it.

    Attributes:
      phase: the phase in which it came; `Moment.phase` is the one that was meant.
      step: number of updates made by then.
      statuses: exit statuses: of the others after SIGKILL and SIGSTOP, of all processes after SIGTERM.
      seconds: time until these had ended.
      redone: number of updates that the next attempt makes again.
      failure: why the signal was not survived.
    """

    moment: Moment
    phase: str
    step: int
    statuses: list[int | None]
    seconds: float
    redone: int = 0
    failure: str = ""

    def __str__(self) -> str:
        return f"{self.event()}: {self.failure or f'{self.redone} redone'}"

    def event(self) -> str:
        """Return when the signal came, and how the processes ended."""
        hosts, victims = self.moment.hosts, self.moment.victims
        which = "1 host" if hosts == 1 else f"{'both' if len(victims) == 2 else f'host {victims[0]}'} of 2"
        ends = f", status {' and '.join(map(str, self.statuses))} after {self.seconds:.1f} s"
        return f"{which}, {self.phase}, step {self.step}{ends if self.statuses else ''}"


class Series:
    """Trainings under signals.

    Attributes:
      records: what came of each signal.
      digests: those of the run that got no signal.
      trainings: number of trainings that got signals and were completed.
      ended_by_themselves: number of starts that ended with status 75 without a signal.
    """

    def __init__(self, setting: Setting, directory: pathlib.Path) -> None:
        self.setting = setting
        self.records: list[Record] = []
        self.digests: dict[str, str] = {}
        self.trainings = self.ended_by_themselves = 0
        self._directory = directory
        self._seconds: dict[tuple[int, str], float] = {}
        self._unknown: list[Record] = []  # signals of which it is not known where the next attempt resumes
        self._of_training: list[Record] = []

    def train_undisturbed(self) -> None:
        """Make the run that the others are compared with, and learn how long each phase takes."""
        attempt = self._start(1)
        try:
            saving_since: float | None = None
            while attempt.processes[0].poll() is None:
                if saving_since is None and attempt.is_saving():
                    saving_since = time.monotonic()
                elif saving_since is not None and not attempt.is_saving():
                    self._seconds[1, "save"] = time.monotonic() - saving_since
                    saving_since = None
                time.sleep(POLL)
        finally:
            attempt.end()
        if attempt.wait(1) != [0]:
            raise UserError(f"A run without signals failed:\n{attempt.log()}")
        self._learn(attempt)
        self.digests = digests(attempt.workdir, attempt.result())
        self._close_training(attempt)

    def disturb(self, moments: Sequence[Moment]) -> None:
        """Send the signals, and complete the last training."""
        for index, moment in enumerate(moments):
            self._send_one(moment)
            print(f"{index + 1}/{len(moments)}: {self.records[-1].event()}", file=sys.stderr, flush=True)
        while self._of_training:
            self._send_one(None)

    def _send_one(self, moment: Moment | None) -> None:
        """Start the training until it gets the signal, or without a moment until it is complete."""
        restarts = 0
        while True:
            hosts = moment.hosts if moment else 1
            attempt = self._start(hosts, cold=moment is not None and moment.phase == "compilation")
            try:
                if moment and self._wait_for(attempt, moment) and self._signal(attempt, moment):
                    return
                statuses = attempt.wait(PATIENCE)
            finally:
                attempt.end()
            self._resolve(attempt)
            if statuses[0] == 0:
                self._complete(attempt)
                if moment is None:
                    return
            elif TRY_AGAIN in statuses and restarts < _MOST_RESTARTS:
                restarts += 1
                self.ended_by_themselves += 1
            else:
                self._fail(f"the next start ended with {statuses}: {attempt.log()}")
                if moment is None or restarts == _MOST_RESTARTS:
                    return

    def _start(self, hosts: int, *, cold: bool = False) -> Attempt:
        compiled = self._directory / "compiled"
        if cold:
            compiled = self._directory / "empty"
            shutil.rmtree(compiled, ignore_errors=True)
        setting = self.setting
        return Attempt(
            setting.flags(),
            hosts=hosts,
            workdir=self._directory / f"run{self.trainings}",
            compiled=compiled,
            evaluate_every=setting.evaluate_every,
            module=setting.module,
        )

    def _wait_for(self, attempt: Attempt, moment: Moment) -> bool:
        """Wait until a moment has come; return False if the attempt ends before."""
        setting, progress = self.setting, attempt.progress
        intervals = moment.intervals * setting.save_every

        def has_begun() -> bool:
            if moment.phase == "start-up":
                # Python needs a fraction of a second until it can take a notice.
                return setting.signal == "KILL" or all(attempt.lines[host] for host in moment.victims)
            if moment.phase in ("compilation", "evaluation"):
                return progress.phase == moment.phase
            if progress.first is None:
                return False
            if moment.phase == "save":
                step = progress.first + int(moment.intervals) * setting.save_every + 1
                return progress.step >= min(step, setting.steps) and attempt.is_saving()
            return progress.phase == "steps" and progress.step > progress.first + int(intervals)

        if not attempt.wait_until(has_begun):
            return False
        length = self._length(moment.hosts, moment.phase)
        at = time.monotonic() + moment.fraction * length
        return attempt.wait_until(lambda: time.monotonic() >= at)

    def _length(self, hosts: int, phase: str) -> float:
        """Return how many seconds a phase is expected to take; that of steps is one step."""
        if phase == "steps":
            return 0.5
        return self._seconds.get((hosts, phase), self._seconds.get((1, phase), 1.0))

    def _learn(self, attempt: Attempt) -> None:
        for phase, seconds in attempt.progress.seconds.items():
            if phase in PHASES:
                self._seconds[len(attempt.processes), phase] = seconds

    def _signal(self, attempt: Attempt, moment: Moment) -> bool:
        """Send a signal, wait until it has had its effect, and record it.

        Returns:
          False if the training was complete before the signal came.
        """
        number = signal.Signals[f"SIG{self.setting.signal}"]
        phase = attempt.phase
        attempt.send(number, moment.victims)
        sent = time.monotonic()
        others = [host for host in range(moment.hosts) if host not in moment.victims]
        if number == signal.SIGTERM:
            others = list(range(moment.hosts))
        elif number == signal.SIGKILL:
            if set(attempt.wait(PATIENCE, moment.victims)) != {-signal.SIGKILL}:
                return False
            phase = attempt.phase  # whether a save was complete
        statuses = attempt.wait(PATIENCE, others)
        seconds = time.monotonic() - sent
        attempt.end()
        if attempt.wait(0, [0]) == [0]:
            return False
        self._resolve(attempt)
        if moment.phase != "compilation":
            self._learn(attempt)
        record = Record(moment, phase, attempt.progress.step, statuses, round(seconds, 1))
        record.failure = self._fault_of(record, attempt)
        self.records.append(record)
        self._of_training.append(record)
        if attempt.progress.first is not None:
            self._unknown.append(record)
        return True

    def _fault_of(self, record: Record, attempt: Attempt) -> str:
        """Return what is wrong about the end of the processes; "" if nothing is."""
        expected = {TRY_AGAIN}
        if self.setting.signal == "KILL" and record.moment.victims == (0,):
            expected.add(-signal.SIGABRT)  # JAX may notice first that its service is gone
        if not set(record.statuses) <= expected:
            return f"ended with {record.statuses}: {attempt.log()}"
        if self.setting.signal == "STOP" and record.seconds > self.setting.silence_timeout + GRACE:
            return f"ended {record.seconds} s later"
        return ""

    def _resolve(self, attempt: Attempt) -> None:
        """Count the steps that are made again, now that it is known where an attempt began."""
        first = self.setting.steps if attempt.progress.is_complete else attempt.progress.first
        if first is None:
            return
        for record in self._unknown:
            record.redone = record.step - first
            if record.redone > self.allowed(record):
                record.failure = f"{record.redone} steps redone"
        self._unknown = []

    def allowed(self, record: Record) -> int:
        """Return how many steps may be redone after a signal.

        Those since the last save; and if that was still being written in the background, those since the one
        before. The next one would have waited for it.
        """
        if self.setting.signal == "TERM":
            return 0
        is_written = record.phase != "save" or not self.setting.in_background
        return self.setting.save_every * (1 if is_written else 2)

    def _complete(self, attempt: Attempt) -> None:
        found = digests(attempt.workdir, attempt.result())
        if different := [name for name, digest in found.items() if digest != self.digests[name]]:
            for record in self._of_training:
                record.failure = record.failure or f"another {' and '.join(different)} at the end"
            print(f"different: {different}, {attempt.workdir} is kept", file=sys.stderr)
            self.trainings += 1
            self._of_training = []
            return
        self._close_training(attempt)

    def _fail(self, failure: str) -> None:
        print(failure, file=sys.stderr, flush=True)
        if not self._of_training:
            raise UserError(f"A run without signals failed: {failure}")
        self._of_training[-1].failure = failure
        self.trainings += 1  # leaves its directory for a look at it
        self._of_training, self._unknown = [], []

    def _close_training(self, attempt: Attempt) -> None:
        shutil.rmtree(attempt.workdir)
        self.trainings += 1
        self._of_training = []
