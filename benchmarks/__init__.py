"""Measurements against peers in the same run; result files live in benchmarks/results."""

import launch  # noqa: F401  handles Ctrl-C and prints a first line, as for the commands of launch/
