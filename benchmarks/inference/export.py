"""Write the network that the forms classify with to an ONNX file, in a process of its own."""

import json
import pathlib
import sys
import tempfile

from benchmarks.random_weights import random_checkpoint
from flax_googlenet.interop.exporting import export

if __name__ == "__main__":
    model, image_size, file = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="classifier-") as directory:
        export(random_checkpoint(pathlib.Path(directory), int(image_size), **json.loads(model)), "onnx", file)
