"""How close our networks are to those of others: `python -m benchmarks.parity`."""
