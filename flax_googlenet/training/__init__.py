"""Training: state, losses, optimizer and schedule, the pure step, the loop, reporting."""

from flax_googlenet.training.loop import train

__all__ = ["train"]
