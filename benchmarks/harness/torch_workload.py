"""What the workloads in PyTorch have in common."""

from collections.abc import Callable
from typing import Any

import torch

from benchmarks.harness.forms import cores
from benchmarks.peers.options import TORCH_MODES


def start_torch() -> torch.device:
    """Let PyTorch use every core and TF32, as XLA does, and return the device of the workload."""
    torch.set_num_threads(cores())
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return torch.device("cuda")


def compiled(function: Callable[..., Any], peer: str) -> Callable[..., Any]:
    """Return a function as the peer of this name runs it.

    Args:
      function: a function that runs a network.
      peer: a key of `TORCH_MODES`.
    """
    mode = TORCH_MODES[peer]
    return function if mode is None else torch.compile(function, mode=mode)


def precision(device: torch.device, dtype: str) -> Any:
    """Return the context of mixed precision, which changes nothing for float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == "bfloat16")


def wait(device: torch.device) -> None:
    """Wait for the work on a device."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def torch_facts(device: torch.device) -> dict[str, Any]:
    """Return the library and the device of a workload in PyTorch."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    return {"library": f"torch {torch.__version__}", "device": f"1 x {name}"}


def matrix_product(device: torch.device, dtype: str) -> tuple[Callable[[], Any], int]:
    """Return a function that computes a product of square matrices, and their side."""
    side = 2048 if device.type == "cpu" else 8192
    matrix = torch.randn(side, side, device=device, dtype=getattr(torch, dtype))

    def product() -> None:
        torch.matmul(matrix, matrix)
        wait(device)

    return product, side


def peak_device_bytes(device: torch.device) -> Callable[[], int] | None:
    """Return a function that returns the peak memory of the accelerator; None on a CPU."""
    return torch.cuda.max_memory_allocated if device.type == "cuda" else None
