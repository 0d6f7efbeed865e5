"""A search of three trials of a small network, the last of which is pruned.

As a process, it kills itself before the checkpoint of step 3 of the second trial.
"""

import os
import signal
import sys
from collections.abc import Callable

from flax_googlenet.sweeps import Plan, Range, Search, SearchOutcome, run_search, search
from flax_googlenet.sweeps.plan import Cost
from flax_googlenet.sweeps.suggestions import Trial
from tests.sweeps import small

BASE = {**small.STEP_BY_STEP, "duration": "4 steps"}


def shrink(replace: Callable[..., None]) -> None:
    """Make the networks small, plan without measuring them, and prune the third trial."""
    small.shrink_networks(replace)
    cost = Cost(params=1_000, multiply_adds=2_000, training_multiply_adds=3_000, steps=4, images=32)
    replace(search, "make_plan", lambda runs, _=None: Plan((), {run.row.name: cost for run in runs}))
    replace(Trial, "is_hopeless", lambda trial: trial._trial.number == 2)


def run(workdir: str | os.PathLike) -> SearchOutcome:
    """Run the search."""
    space = {"optimizer.learning_rate": Range(1e-3, 1e-1, log=True)}
    return run_search(Search("mnist_sample", space), BASE, trials=3, workdir=workdir)


def main() -> None:
    report = Trial.report

    def report_and_die(trial: Trial, step: int, top1: float) -> None:
        report(trial, step, top1)
        if (trial._trial.number, step) == (1, 3):
            os.kill(os.getpid(), signal.SIGKILL)

    shrink(setattr)
    Trial.report = report_and_die  # type: ignore[method-assign]
    run(sys.argv[1])


if __name__ == "__main__":
    main()
