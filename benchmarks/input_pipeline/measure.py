"""One loader, or one decoder, which prints how far it is as a JSON object about every second.

  python -m benchmarks.input_pipeline.measure NAME FOLDER BATCH_SIZE WORKERS SECONDS

`processes.measure` starts it, and ends it after its last line.
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

WARM_UP = 4  # batches: processes start, buffers fill


def counts(name: str, folder: pathlib.Path, batch_size: int, workers: int) -> Iterator[int]:
    """Numbers of images that are done, one batch after the other."""
    if name in DECODERS:
        yield from DECODERS[name].counts(folder, workers)
    else:
        for batch in LOADERS[name].make(folder, batch_size, workers):
            yield len(to_device(batch)[0])


def main() -> None:
    name, folder, batch_size, workers, seconds = sys.argv[1:]
    flags.FLAGS(sys.argv[:1])  # Grain reads some
    done = counts(name, pathlib.Path(folder), int(batch_size), int(workers))
    for _ in range(WARM_UP):
        next(done)
    images, started, said = 0, time.perf_counter(), -1.0
    while said < float(seconds):
        images += next(done)
        elapsed = time.perf_counter() - started
        if elapsed - said >= 1 or elapsed >= float(seconds):
            said = elapsed
            progress = {"images": images, "seconds": elapsed, "last": elapsed >= float(seconds)}
            print(json.dumps(progress), flush=True)
    time.sleep(60)  # its memory is being looked at


if __name__ == "__main__":
    main()
