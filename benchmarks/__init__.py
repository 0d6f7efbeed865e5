"""Measured against peers in the same run; results are kept as files."""

import launch  # noqa: F401  Ctrl-C and a sign of life, as of its commands
