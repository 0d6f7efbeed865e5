"""The report of a sweep or of any runs: the answer, its uncertainty, and what it takes to repeat it."""

from flax_googlenet.sweeps.report.writing import Report, write_report

__all__ = ["Report", "write_report"]
