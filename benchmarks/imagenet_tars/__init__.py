"""Small tars in the form of ImageNet's two: `python -m benchmarks.imagenet_tars`."""
