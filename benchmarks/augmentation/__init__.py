"""What augmentation costs: `python -m benchmarks.augmentation`."""
