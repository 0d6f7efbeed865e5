"""Comparison of our networks with those of other frameworks: `python -m benchmarks.parity`."""
