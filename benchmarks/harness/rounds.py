"""Measurement of forms in interleaved rounds: A B C A B C."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.conditions import REPOSITORY
from benchmarks.harness.forms import Form, cores
from flax_googlenet.errors import UserError

MATRIX_PRODUCTS = 3  # per form and round; the fastest counts

Call = tuple[float, float, float]  # wall seconds, CPU seconds, busy seconds of other processes


def measure(forms: Sequence[Form], *, rounds: int, calls: int, allocator: str = "keep") -> dict[str, Any]:
    """Measure forms of one workload, each in its own process.

    In every round, each form in turn measures its matrix-product rate and then runs its calls. A ratio is
    computed within a round.

    Args:
      forms: the forms; ratios are speeds of the first one relative to each of the others.
      rounds: number of rounds.
      calls: number of calls of each form in a round.
      allocator: "keep" to make glibc keep freed memory in every process, "default" to leave it alone.

    Returns:
      A result ready for JSON:

      * "forms": by name, the form's facts; the "seconds" of a call as the median over rounds of the round's
        median; the same of "cpu_seconds"; all "calls" by round as [wall seconds, CPU seconds, share of the
        cores that other processes used]; and, if the first one's facts have its FLOP, its "gflops" and "share_of_roof"
      * "ratios": by name of each form but the first, the "median", "min" and "max" over rounds of the
        form's seconds divided by the first one's
      * "roof_gflops" by round: the fastest of all matrix products
      * "others": share of the cores that other processes used in the median round

    Raises:
      UserError: if a form fails.
    """
    with contextlib.ExitStack() as stack:
        processes = {form.name: stack.enter_context(_started(form, allocator)) for form in forms}
        by_round: list[dict[str, list[Call]]] = []
        rates: list[dict[str, float]] = []
        for number in range(1, rounds + 1):
            measured: dict[str, list[Call]] = {}
            rate: dict[str, float] = {}
            for name, process in processes.items():
                rate[name] = process.ask({"matrix_products": MATRIX_PRODUCTS}) or 0.0
                measured[name] = [tuple(call) for call in process.ask({"calls": calls})]
            by_round.append(measured)
            rates.append(rate)
            print(f"round {number}/{rounds}: {_describe(measured)}", file=sys.stderr, flush=True)
        facts = {
            name: {**process.facts, **process.ask({"finish": True})} for name, process in processes.items()
        }
    return summarize(facts, by_round, [max(rate.values()) for rate in rates])


def summarize(
    facts: Mapping[str, Mapping[str, Any]],
    rounds: Sequence[Mapping[str, Sequence[Call]]],
    roof: Sequence[float],
) -> dict[str, Any]:
    """Return the result of `measure`.

    Args:
      facts: the facts of each form, by name.
      rounds: for each round, the calls of each form.
      roof: the matrix-product rate of each round, in GFLOP/s; 0 if unknown.

    >>> rounds = [{"ours": [(1.0, 2.0, 0.0)], "peer": [(2.0, 4.0, 0.0)]}]
    >>> summarize({"ours": {}, "peer": {}}, rounds, [0.0])["ratios"]
    {'peer': {'median': 2.0, 'min': 2.0, 'max': 2.0}}
    """
    medians = [
        {name: statistics.median(call[0] for call in calls) for name, calls in each.items()}
        for each in rounds
    ]
    first, *others = facts
    flop = facts[first].get("flop")  # every form does the same work
    forms: dict[str, dict[str, Any]] = {}
    for name, known in facts.items():
        seconds = statistics.median(each[name] for each in medians)
        cpu = statistics.median(statistics.median(call[1] for call in each[name]) for each in rounds)
        forms[name] = {**known, "seconds": round(seconds, 6), "cpu_seconds": round(cpu, 6)}
        if flop:
            rates = [1e-9 * flop / each[name] for each in medians]
            forms[name]["gflops"] = round(statistics.median(rates), 1)
            if all(roof):
                shares = [rate / limit for rate, limit in zip(rates, roof, strict=True)]
                forms[name]["share_of_roof"] = round(statistics.median(shares), 3)
        forms[name]["calls"] = [[_call_record(call) for call in each[name]] for each in rounds]
    ratios = {name: _spread([each[name] / each[first] for each in medians]) for name in others}
    busy = statistics.median(
        _share_of_others([call for calls in each.values() for call in calls]) for each in rounds
    )
    return {
        "forms": forms,
        "ratios": ratios,
        "roof_gflops": [round(rate, 1) for rate in roof],
        "others": round(busy, 3),
    }


def _describe(measured: Mapping[str, Sequence[Call]]) -> str:
    seconds = (
        f"{name} {1e3 * statistics.median(call[0] for call in calls):.1f} ms"
        for name, calls in measured.items()
    )
    others = _share_of_others([call for calls in measured.values() for call in calls])
    return f"{', '.join(seconds)}; others used {others:.0%} of the cores"


def _share_of_others(calls: Sequence[Call]) -> float:
    """Return the share of the cores that other processes used during calls."""
    return max(0.0, sum(call[2] for call in calls) / (cores() * sum(call[0] for call in calls)))


def _call_record(call: Call) -> list[float]:
    return [round(call[0], 6), round(call[1], 6), round(_share_of_others([call]), 3)]


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, 3) for name, value in figures.items()}


class _Process:
    """The process of a form, which answers requests; see `benchmarks.harness.worker`."""

    def __init__(self, form: Form, process: subprocess.Popen[str], errors: Any) -> None:
        self._form, self._process, self._errors = form, process, errors
        self.facts: dict[str, Any] = self._read()

    def ask(self, request: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the process has ended, and `_read` says why
            print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._errors.seek(0)
        print(self._errors.read(), file=sys.stderr)
        self._errors.seek(0)
        lines = self._errors.read().split("\n")
        reason = next((line for line in reversed(lines) if line.strip()), f"exit status {status}")
        raise UserError(f'The form "{self._form.name}" failed: {reason.strip()}; see above, or leave it out.')


@contextlib.contextmanager
def _started(form: Form, allocator: str) -> Iterator[_Process]:
    """Start the process of a form and wait until it has warmed up; end it with the context."""
    specification = {
        "build": form.build,
        "options": dict(form.options),
        "checkout": form.checkout,
        "allocator": allocator,
    }
    print(f"{form.name}: building", file=sys.stderr, flush=True)
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", json.dumps(specification)],
            cwd=REPOSITORY,
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false", **form.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            started = _Process(form, process, errors)
            print(f"{form.name}: ready, {started.facts['first_call_seconds']} s", file=sys.stderr, flush=True)
            yield started
        finally:
            process.kill()
            process.communicate()
