"""Sweeps: named rows of overrides over a config, the runs of each row, and a comparison of the rows."""

from flax_googlenet.sweeps.execution import Outcome, execute, incomplete
from flax_googlenet.sweeps.expansion import Run, expand
from flax_googlenet.sweeps.plan import Plan, make_plan
from flax_googlenet.sweeps.rows import Row, Sweep

__all__ = ["Outcome", "Plan", "Row", "Run", "Sweep", "execute", "expand", "incomplete", "make_plan"]
