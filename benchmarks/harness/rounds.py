"""Measurement of forms in interleaved rounds: A B C A B C."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.harness.forms import Form
from benchmarks.harness.processes import started
from benchmarks.harness.summary import Round, describe, summarize

MATRIX_PRODUCTS = 3  # per form and round; the fastest counts


def measure(forms: Sequence[Form], *, rounds: int, calls: int, allocator: str = "keep") -> dict[str, Any]:
    """Measure forms of one workload, each in its own process.

    In every round, each form in turn measures its matrix-product rate and then runs its calls. The roof of
    the round is the largest of these rates.

    Args:
      forms: the forms; ratios are speeds of the first one relative to each of the others.
      rounds: number of rounds.
      calls: number of calls of each form in a round.
      allocator: "keep" to make glibc keep freed memory in every process, "default" to leave it alone.

    Returns:
      The result of `summarize`.

    Raises:
      UserError: if a form fails.
    """
    with contextlib.ExitStack() as stack:
        processes = {form.name: stack.enter_context(started(form, allocator)) for form in forms}
        by_round: list[Round] = []
        roof: list[float] = []
        for number in range(1, rounds + 1):
            rates: list[float] = []
            measured = {}
            for name, process in processes.items():
                rates.append(process.ask({"matrix_products": MATRIX_PRODUCTS}) or 0.0)
                measured[name] = [tuple(call) for call in process.ask({"calls": calls})]
            by_round.append(measured)
            roof.append(max(rates))
            print(f"round {number}/{rounds}: {describe(measured)}", file=sys.stderr, flush=True)
        facts = {
            name: {**process.facts, **process.ask({"finish": True})} for name, process in processes.items()
        }
    return summarize(facts, by_round, roof)
