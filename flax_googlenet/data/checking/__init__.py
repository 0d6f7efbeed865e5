"""Checks of whole data sets: every example read and decoded."""
