"""The writer of TensorBoard files, imported without PyTorch.

tensorboardX imports PyTorch if it is installed, which takes more than a second of CPU time, and only needs it
to write tensors.
"""

import sys
from collections.abc import Callable
from typing import Any

_HIDDEN = {} if "torch" in sys.modules else {"torch": None}  # None makes `import torch` fail
sys.modules.update(_HIDDEN)  # type: ignore[arg-type]
try:
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams
finally:
    for name in _HIDDEN:
        del sys.modules[name]

__all__ = ["SummaryWriter", "hparams", "keep_alive"]


def keep_alive(writer: SummaryWriter, failed: Callable[[OSError], None]) -> None:
    """Pass on the errors of the thread that writes events, which would otherwise end it.

    Without the thread, its queue fills up, and the next event waits for ever.

    Args:
      writer: the writer.
      failed: called with each error, in the thread.
    """
    events = writer.file_writer.event_writer._ev_writer
    for name in ("write_event", "flush", "close"):
        setattr(events, name, _reporting_errors(getattr(events, name), failed))


def _reporting_errors(function: Callable[..., Any], failed: Callable[[OSError], None]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except OSError as error:
            failed(error)

    return call
