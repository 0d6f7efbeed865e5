"""Runs of many processes, usually one on each host: their start, their agreement, and their end."""

from flax_googlenet.distributed.agreement import check_agreement, check_shared
from flax_googlenet.distributed.compilation import compile_together, compiled_together
from flax_googlenet.distributed.coordination import (
    broadcast,
    describe,
    exchange,
    meet,
    process_count,
    process_index,
)
from flax_googlenet.distributed.preemption import Preempted
from flax_googlenet.distributed.startup import end_all, finish, leave, start, wait_for_cause
from flax_googlenet.distributed.survival import ProcessesLost

__all__ = [
    "Preempted",
    "ProcessesLost",
    "broadcast",
    "check_agreement",
    "check_shared",
    "compile_together",
    "compiled_together",
    "describe",
    "end_all",
    "exchange",
    "finish",
    "leave",
    "meet",
    "process_count",
    "process_index",
    "start",
    "wait_for_cause",
]
