"""Evaluation from JPEG files, beside the forward pass alone."""
