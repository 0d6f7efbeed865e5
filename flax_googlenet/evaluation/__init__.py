"""Evaluation: exact metrics over a whole split."""

from flax_googlenet.evaluation.evaluate import Evaluator, Member

__all__ = ["Evaluator", "Member"]
