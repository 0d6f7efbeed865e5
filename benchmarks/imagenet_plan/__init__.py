"""Time and cost of training on ImageNet: `python -m benchmarks.imagenet_plan`."""
