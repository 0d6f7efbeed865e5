"""Sweeps, which compare rows of overrides over a config, and searches for the best values of its keys."""

from flax_googlenet.sweeps.execution import Outcome, execute, incomplete
from flax_googlenet.sweeps.expansion import Run, expand
from flax_googlenet.sweeps.plan import Plan, make_plan
from flax_googlenet.sweeps.rows import Row, Sweep, paper_schedule
from flax_googlenet.sweeps.search import SearchOutcome, run_search
from flax_googlenet.sweeps.space import Choice, Range, Search

__all__ = [
    "Choice",
    "Outcome",
    "Plan",
    "Range",
    "Row",
    "Run",
    "Search",
    "SearchOutcome",
    "Sweep",
    "execute",
    "expand",
    "incomplete",
    "make_plan",
    "paper_schedule",
    "run_search",
]
