"""Evaluation from JPEG files compared with the forward pass alone: `python -m benchmarks.evaluation`."""
