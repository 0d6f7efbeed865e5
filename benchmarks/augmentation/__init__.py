"""The cost of each augmentation: `python -m benchmarks.augmentation`."""
