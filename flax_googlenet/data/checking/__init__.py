"""Checking that a data set is sound."""
