"""The commands. Each runs as `python -m launch.NAME` and prints its result as one JSON object at the end."""

import sys

from launch.common import interrupts

if sys.argv[0] == "-m":  # Python is about to import a command, which takes seconds
    interrupts.install()
    print("loading JAX ...", file=sys.stderr, flush=True)
