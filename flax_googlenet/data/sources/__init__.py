"""Data sets that examples are read from."""
