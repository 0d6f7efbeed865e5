"""Measured against peers in the same run; results are kept as files."""
