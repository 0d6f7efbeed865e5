"""Fair measurement of several implementations of one workload: a process each, in interleaved rounds."""
