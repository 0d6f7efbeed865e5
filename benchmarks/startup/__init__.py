"""The time from the start of a process to its first line, step and prediction: `python -m benchmarks.startup`."""
