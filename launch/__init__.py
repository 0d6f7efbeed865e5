"""The commands. Each runs as `python -m launch.NAME` and prints its result as one JSON object at the end."""

import sys
import time

from launch.common import interrupts

STARTED = time.perf_counter()

if sys.argv[0] == "-m":  # Python is about to import a command, which takes seconds
    interrupts.install()
    print("loading JAX ...", file=sys.stderr, flush=True)
