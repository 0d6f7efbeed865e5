"""From the start of a process to its first line, step or prediction."""
