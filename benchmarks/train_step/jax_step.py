"""The training step of this project as a workload of the harness, at this commit or an older one."""

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.harness.forms import Workload
from benchmarks.harness.jax_workload import jax_facts, matrix_product, peak_device_bytes
from benchmarks.train_step.batch import random_batch
from flax_googlenet.config import resolve
from flax_googlenet.models import build_model
from flax_googlenet.models.summary import summarize
from flax_googlenet.sharding import data_mesh, replicate, split_batch
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import place_initial_state
from flax_googlenet.training.step import make_train_step


class CompiledStep(NamedTuple):
    """A training step with its first arguments.

    Attributes:
      step: takes a state, which it consumes, and a batch, and returns a state and metrics.
      state: the initial state.
      batch: a batch on the device.
      facts: the facts of a workload that takes one step.
    """

    step: Any
    state: Any
    batch: Any
    facts: dict[str, Any]


def build(
    config: Mapping[str, Any],
    switched: Sequence[str] = (),
    xla_options: Mapping[str, Any] | None = None,
    steps: int = 1,
) -> Workload:
    """Return the training step on the same batch as a workload.

    Args:
      config: the config, before it is resolved.
      switched: names of the fast paths to switch off where they are on for the platform, and on elsewhere.
      xla_options: XLA's options beside those of the project.
      steps: number of steps that one compiled program takes.
    """
    step, state, batch, facts = compile_step(config, switched, xla_options, steps)

    def call() -> None:
        nonlocal state  # the step consumes it
        state, metrics = step(state, batch)
        jax.block_until_ready((state, metrics))

    dtype = resolve(config).model.dtype
    return Workload(call, facts, *matrix_product(dtype), peak_device_bytes(), repeats=steps)


def compile_step(
    config: Mapping[str, Any],
    switched: Sequence[str] = (),
    xla_options: Mapping[str, Any] | None = None,
    steps: int = 1,
) -> CompiledStep:
    """Compile the training step.

    Args:
      config, switched, xla_options, steps: as for `build`.
    """
    resolved = resolve(config)
    model = build_model(resolved.model)

    def schedule(_step: Any) -> float:
        return float(resolved.optimizer.learning_rate)

    optimizer = build_optimizer(resolved.optimizer, schedule)
    mesh = data_mesh(jax.devices()[:1])
    step: Any = make_train_step(resolved, model, optimizer, schedule, mesh, 0)
    if steps > 1:
        step = repeated(step, steps)
    state = place_initial_state(resolved, model, optimizer, replicate(mesh))
    images, labels = random_batch(resolved.batch_size, resolved.data.image_size, resolved.model.num_classes)
    batch = jax.device_put({"image": images, "label": labels.astype(np.int32)}, split_batch(mesh))
    before = os.times()
    with _with_switched(switched):
        compiled = step.lower(state, batch).compile(compiler_options=dict(xla_options or {}))
    after = os.times()
    memory = compiled.memory_analysis()
    facts = {
        **jax_facts(),
        "compile_cpu_seconds": round(after.user + after.system - before.user - before.system, 2),
        "temp_bytes": getattr(memory, "temp_size_in_bytes", None),
        "flop": resolved.batch_size * training_flop(model, resolved.data.image_size),
    }
    return CompiledStep(compiled, state, batch, facts)


def repeated(step: Any, steps: int) -> Any:
    """Return a function that takes several steps on the same batch in one program.

    Args:
      step: a jitted training step.
      steps: number of steps.
    """
    # Imported here, since older commits have no such module.
    from flax_googlenet.runtime.compilation import jit

    def take(state: Any, batch: Any) -> Any:
        return jax.lax.scan(lambda state, _: step.__wrapped__(state, batch), state, length=steps)

    return jit(take, donate_argnums=0)


def training_flop(model: Any, image_size: int) -> int:
    """Return the FLOP per image of convolutions and linear layers, forward and backward.

    Each layer computes its output, the gradient of its weights and that of its input, except for the first
    layer, whose input has no gradient.
    """
    summary = summarize(model, image_size)
    multiply_adds = summary.multiply_adds + sum(row.multiply_adds for row in summary.auxiliary)
    return 2 * (3 * multiply_adds - summary.rows[0].multiply_adds)


@contextlib.contextmanager
def _with_switched(names: Sequence[str]) -> Iterator[None]:
    """Trace programs with some fast paths switched off, or on where they are off."""
    with contextlib.ExitStack() as stack:
        if names:
            # Imported here, since older commits have no such module.
            fast_paths = importlib.import_module("flax_googlenet.ops.fast_paths")
            for name in names:
                switch = fast_paths.disabled if fast_paths.is_on(name) else fast_paths.enabled
                stack.enter_context(switch(name))
        yield
