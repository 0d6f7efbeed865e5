"""Reports of a run: progress, metrics, curves and sample images."""
