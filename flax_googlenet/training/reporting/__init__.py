"""What a run shows: progress, metrics files, curves and sample images."""
