"""Commands: each is `python -m launch.NAME`, prints one JSON object last, and explains mistakes."""

import sys

from launch import interrupts

if sys.argv[0] == "-m":  # Python looks for the command that it is to run, whose imports take seconds
    interrupts.install()
    print("loading JAX ...", file=sys.stderr, flush=True)
