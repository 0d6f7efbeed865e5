"""Conditions of a measurement, for tests of the tables."""

CONDITIONS = {
    "commit": "abc",
    "dirty": False,
    "versions": {},
    "device": "1 x cpu",
    "cores": 2,
    "machine": "x86_64",
    "load_average": 0.1,
}
