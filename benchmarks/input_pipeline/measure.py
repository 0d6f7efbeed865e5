"""Run one loader or decoder and print its progress as a JSON object about once per second.

  python -m benchmarks.input_pipeline.measure NAME DIR BATCH_SIZE WORKERS SECONDS

`processes.measure` starts this process and kills it after the last line.
"""

import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import flags

from benchmarks.input_pipeline.decoders import DECODERS
from benchmarks.input_pipeline.loaders import LOADERS, to_device

WARM_UP = 4  # batches, in which processes start and buffers fill


def counts(name: str, folder: pathlib.Path, batch_size: int, workers: int) -> Iterator[int]:
    """Yield the number of images of each batch that is complete."""
    if name in DECODERS:
        yield from DECODERS[name].counts(folder, workers)
    else:
        for batch in LOADERS[name].make(folder, batch_size, workers):
            yield len(to_device(batch)[0])


def main() -> None:
    name, folder, batch_size, workers, seconds = sys.argv[1:]
    flags.FLAGS(sys.argv[:1])  # Grain reads absl flags
    done = counts(name, pathlib.Path(folder), int(batch_size), int(workers))
    for _ in range(WARM_UP):
        next(done)
    images, started, reported = 0, time.perf_counter(), -1.0
    while reported < float(seconds):
        images += next(done)
        elapsed = time.perf_counter() - started
        if elapsed - reported >= 1 or elapsed >= float(seconds):
            reported = elapsed
            progress = {"images": images, "seconds": elapsed, "last": elapsed >= float(seconds)}
            print(json.dumps(progress), flush=True)
    time.sleep(60)  # the parent still reads the memory of this process


if __name__ == "__main__":
    main()
