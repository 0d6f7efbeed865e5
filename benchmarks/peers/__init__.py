"""The networks of other packages that the benchmarks compare with."""
