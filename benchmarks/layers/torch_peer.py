"""The same layers in PyTorch, channels last."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn import functional

from benchmarks.layers.cases import Case, Operation
from benchmarks.layers.timing import Ceilings, Options, Timing, median_seconds
from flax_googlenet.ops.local_response_norm import ALPHA, BETA, SIZE, K

Layer = Callable[[Any, Sequence[Any]], Any]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def measure(case: Case, options: Options) -> dict[str, Timing]:
    """Return the timing of each pass of a layer, by autograd of eager mode."""
    layer, inputs, params = build(case, options)
    tensors = {"inputs": [inputs], "params": params}
    timings = {}
    for name, of in case.passes.items():
        wanted = [tensor for argument in of for tensor in tensors[argument]]
        for tensor in (inputs, *params):
            tensor.requires_grad_(any(tensor is other for other in wanted))
        outputs = layer(inputs, params)
        gradient = torch.randn_like(outputs)
        if wanted:
            call = functools.partial(torch.autograd.grad, outputs, wanted, gradient, retain_graph=True)
        else:
            call = functools.partial(layer, inputs, params)
        timings[name] = _time(call, options)
    return timings


def ceilings(options: Options) -> Ceilings:
    """Return what matrix products and additions of large arrays reach."""
    dtype = getattr(torch, options.dtype)
    side, values = (2048, 2**25) if DEVICE.type == "cpu" else (8192, 2**28)
    x, y = (torch.randn(side, side, device=DEVICE, dtype=dtype) for _ in range(2))
    seconds = median_seconds(lambda: _finish(x @ y), options.seconds)
    a, b = (torch.full((values,), value, device=DEVICE, dtype=dtype) for value in (1.0, 0.0))
    triad = median_seconds(lambda: _finish(torch.add(a, b, alpha=3, out=a)), options.seconds)
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else "cpu"
    return Ceilings(2 * side**3 / seconds, 3 * a.nbytes / triad, device)


def _finish(_: Any) -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def _time(call: Callable[[], Any], options: Options) -> Timing:
    return Timing(median_seconds(lambda: _finish(call()), options.seconds), 0)


def build(case: Case, options: Options) -> tuple[Layer, Any, list[Any]]:
    """Return a layer as a function of inputs and parameters, and both."""
    torch.manual_seed(0)
    dtype = getattr(torch, options.dtype)
    shape = (options.batch_size, case.channels, *(() if case.is_of_vectors else (case.side, case.side)))
    inputs = _tensor(shape, dtype)
    match case.operation:
        case Operation.CONVOLUTION:
            kernel = _tensor((case.features, case.channels, case.window, case.window), dtype)
            stride, padding = case.stride, case.padding[0]
            return lambda x, params: functional.conv2d(x, params[0], None, stride, padding), inputs, [kernel]
        case Operation.LINEAR:
            kernel = _tensor((case.features, case.channels), dtype)
            return lambda x, params: functional.linear(x, params[0]), inputs, [kernel]
        case Operation.MAX_POOL:
            before, after = case.padding
            pool = torch.nn.MaxPool2d(case.window, case.stride, before, ceil_mode=after > before)
            return lambda x, _: pool(x), inputs, []
        case Operation.LRN:
            norm = torch.nn.LocalResponseNorm(SIZE, ALPHA, BETA, K)
            return lambda x, _: norm(x), inputs, []
        case Operation.AVERAGE_POOL:
            return lambda x, _: x.mean(dim=(2, 3)), inputs, []
    return _of_module(_MODULES[case.operation](case), inputs, dtype)


def _tensor(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    layout = torch.channels_last if len(shape) == 4 else torch.contiguous_format
    return torch.randn(shape, device=DEVICE, dtype=dtype).to(memory_format=layout)


def _of_module(module: torch.nn.Module, inputs: Any, dtype: torch.dtype) -> tuple[Layer, Any, list[Any]]:
    """Return a module as a function of its inputs; the parameters are the module's own tensors."""
    module = module.train().to(DEVICE, dtype)
    module.to(memory_format=torch.channels_last)
    return lambda x, _: module(x), inputs, list(module.parameters())


def _convolution(case: Case, channels: int, features: int, window: int) -> torch.nn.Module:
    """Return a convolution with its normalization, if there is one, and ReLU."""
    layers: list[torch.nn.Module] = [
        torch.nn.Conv2d(channels, features, window, padding=window // 2, bias=not case.batch_norm)
    ]
    if case.batch_norm:
        layers.append(torch.nn.BatchNorm2d(features, eps=1e-3))
    return torch.nn.Sequential(*layers, torch.nn.ReLU(inplace=True))


class _Branches(torch.nn.Module):
    def __init__(self, case: Case) -> None:
        super().__init__()
        conv1x1, reduce3x3, conv3x3, reduce5x5, conv5x5, pool_proj = case.filters
        channels = case.channels

        def chain(first: list[torch.nn.Module], features: int, window: int, reduction: int) -> Any:
            if reduction:
                first.append(_convolution(case, channels, reduction, 1))
            if features:
                first.append(_convolution(case, reduction or channels, features, window))
            return torch.nn.Sequential(*first)

        pool = torch.nn.MaxPool2d(3, 1, 1)
        self.branches = torch.nn.ModuleList(
            [
                chain([], conv1x1, 1, 0),
                chain([], conv3x3, 3, reduce3x3),
                chain([], conv5x5, case.window, reduce5x5),
                chain([pool], pool_proj, 1, 0),
            ]
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the four branches."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def _auxiliary(case: Case) -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4),
        _convolution(case, case.channels, 128, 1),
        torch.nn.Flatten(),
        torch.nn.Linear(2048, 1024),
        torch.nn.ReLU(inplace=True),
        torch.nn.Dropout(0.7),
        torch.nn.Linear(1024, case.features),
    )


def _batch_norm(case: Case) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.BatchNorm2d(case.channels), torch.nn.ReLU(inplace=True))


_MODULES: dict[Operation, Callable[[Case], torch.nn.Module]] = {
    Operation.INCEPTION: _Branches,
    Operation.AUXILIARY: _auxiliary,
    Operation.BATCH_NORM: _batch_norm,
}
