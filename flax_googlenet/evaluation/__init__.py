"""Evaluation: exact metrics over a whole split."""

from flax_googlenet.evaluation.evaluate import Evaluator

__all__ = ["Evaluator"]
