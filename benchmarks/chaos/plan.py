"""The moments at which processes get a signal, drawn from a seed."""

import dataclasses
import itertools
import random
from collections.abc import Mapping

# Shares of the signals by the phase of the run in which they are meant to come. A process that is stopped
# while it starts is one that does not come, which other tests check.
SHARES: Mapping[str, Mapping[str, float]] = {
    "KILL": {"steps": 0.35, "save": 0.25, "start-up": 0.15, "evaluation": 0.15, "compilation": 0.1},
    "TERM": {"steps": 0.3, "save": 0.2, "start-up": 0.15, "evaluation": 0.25, "compilation": 0.1},
    "STOP": {"steps": 0.4, "save": 0.2, "evaluation": 0.2, "compilation": 0.2},
}

PHASES = ("start-up", "compilation", "steps", "evaluation", "save")

# Processes of a run on two hosts that get the signal.
_VICTIMS = {"KILL": ((0,), (1,), (0, 1)), "TERM": ((0, 1), (0,), (1,)), "STOP": ((0,), (1,))}


@dataclasses.dataclass(frozen=True)
class Moment:
    """One signal.

    Attributes:
      phase: phase of the run, one of `PHASES`.
      hosts: number of processes, 1 or 2.
      victims: numbers of the processes that get the signal.
      intervals: from 0 to 2, time before the phase as a multiple of the interval between saves, for phases
        that come more than once.
      fraction: from 0 to 1, time since the start of the phase as a share of its length.
    """

    phase: str
    hosts: int
    victims: tuple[int, ...]
    intervals: float
    fraction: float


def draw(count: int, signal: str, seed: int) -> list[Moment]:
    """Return the moments of `count` signals: every phase gets its share, in an order that is drawn.

    Runs have one and two processes by turns, except that SIGSTOP needs two.

    >>> [(moment.phase, moment.hosts, moment.victims) for moment in draw(3, "KILL", seed=0)]
    [('steps', 1, (0,)), ('start-up', 2, (0,)), ('save', 1, (0,))]
    """
    generator = random.Random(seed)
    phases = apportion(count, SHARES[signal])
    generator.shuffle(phases)
    victims = itertools.cycle(generator.sample(_VICTIMS[signal], len(_VICTIMS[signal])))
    moments = []
    for index, phase in enumerate(phases):
        hosts = 2 if signal == "STOP" else 1 + index % 2
        of_two = next(victims) if hosts == 2 else (0,)
        moments.append(Moment(phase, hosts, of_two, 2 * generator.random(), generator.random()))
    return moments


def apportion(count: int, shares: Mapping[str, float]) -> list[str]:
    """Return `count` names, so that each comes as often as its share says, rounded by largest remainder.

    >>> apportion(5, {"a": 0.5, "b": 0.3, "c": 0.2})
    ['a', 'a', 'a', 'b', 'c']
    """
    exact = {name: count * share for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: counts[name] - exact[name])
    for name in by_remainder[: count - sum(counts.values())]:
        counts[name] += 1
    return [name for name, number in counts.items() for _ in range(number)]
