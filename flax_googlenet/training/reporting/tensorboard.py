"""The writer of TensorBoard files, imported without PyTorch.

tensorboardX imports PyTorch if it is installed, which takes more than a second of CPU time, and only needs it
to write tensors.
"""

import sys

_HIDDEN = {} if "torch" in sys.modules else {"torch": None}  # None makes `import torch` fail
sys.modules.update(_HIDDEN)  # type: ignore[arg-type]
try:
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams
finally:
    for name in _HIDDEN:
        del sys.modules[name]

__all__ = ["SummaryWriter", "hparams"]
