"""The time to the first line, step and prediction of a process: `python -m benchmarks.startup`."""
