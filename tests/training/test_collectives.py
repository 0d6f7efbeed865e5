"""What the devices send each other in a training step, read from the program that XLA compiled for eight."""

import math
import re

import jax
import jax.numpy as jnp
import pytest

from configs import imagenet
from flax_googlenet.config import resolve
from flax_googlenet.models import GoogLeNet, build_model
from flax_googlenet.sharding import data_mesh
from flax_googlenet.training.optimizer import build_optimizer
from flax_googlenet.training.state import initial_state
from flax_googlenet.training.step import make_train_step
from tests.support.commands import REPOSITORY

pytestmark = pytest.mark.slow

# Every operation of HLO in which devices exchange data.
COLLECTIVES = (
    *("all-gather", "all-reduce", "all-to-all", "ragged-all-to-all", "reduce-scatter"),
    *("collective-broadcast", "collective-permute", "send", "recv"),
)
OPERATION = re.compile(rf"^\s*(?:ROOT )?%?\S+ = (.+?) ({'|'.join(COLLECTIVES)})(?:-start)?\(")
ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")
BYTES = 4  # of a float32

HEADS = ("logits", "aux_4a", "aux_4d")
METRICS = len((*HEADS, "top1"))  # means over the batch; the loss follows from those of the heads


def collectives(program: str) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Return the name of each collective of a compiled program, and the shapes of its float32 arrays."""
    found = []
    for line in program.splitlines():
        if match := OPERATION.match(line):
            arrays = ARRAY.findall(match[1])
            assert {dtype for dtype, _ in arrays} == {"f32"}, line
            shapes = [tuple(map(int, sizes.split(","))) if sizes else () for _, sizes in arrays]
            found.append((match[2], shapes))
    return found


def size(shapes: list[tuple[int, ...]]) -> int:
    """Return the number of elements of arrays."""
    return sum(math.prod(shape) for shape in shapes)


def compile_step(config, model):
    """Compile the step for eight devices; return its collectives, and how many parameters and statistics."""
    optimizer = build_optimizer(config.optimizer, lambda _: 0.1)
    step = make_train_step(config, model, optimizer, lambda _: 0.1, data_mesh(), averaging_start=0)
    state = jax.eval_shape(lambda: initial_state(config, model, optimizer))
    pixels = config.data.image_size
    batch = {
        "image": jax.ShapeDtypeStruct((config.batch_size, pixels, pixels, 3), jnp.uint8),
        "label": jax.ShapeDtypeStruct((config.batch_size,), jnp.int32),
    }
    program = step.lower(state, batch).compile().as_text()
    sizes = (sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in (state.params, state.batch_stats))
    return collectives(program), *sizes


def test_every_collective_of_a_program_is_seen():
    mesh = data_mesh()

    def exchange(x):
        gathered = jax.lax.all_gather(x, "data")
        turned = jax.lax.all_to_all(jnp.tile(x, 8), "data", 0, 0, tiled=True)
        shifted = jax.lax.ppermute(x, "data", [(i, (i + 1) % 8) for i in range(8)])
        scattered = jax.lax.psum_scatter(jnp.tile(x, 8), "data", tiled=True)
        return gathered.sum() + turned.sum() + shifted.sum() + scattered.sum() + jax.lax.psum(x, "data").sum()

    split, everywhere = jax.P("data"), jax.P()
    mapped = jax.shard_map(exchange, mesh=mesh, in_specs=split, out_specs=everywhere, check_vma=False)
    program = jax.jit(mapped).lower(jax.ShapeDtypeStruct((24,), jnp.float32)).compile().as_text()
    names = {name for name, _ in collectives(program)}
    assert names == {"all-gather", "all-to-all", "collective-permute", "reduce-scatter", "all-reduce"}


@pytest.mark.parametrize("variant", ["paper", "bn"])
def test_only_gradients_and_sums_over_the_batch_are_sent(variant):
    """Neither the images nor the size of the batch change what is sent, so both are small here.

    XLA's combiner leaves one all-reduce of the gradients. Batch normalization needs sums of the whole batch
    before the next layer, in either direction, so that it has all-reduces of its own. In the forward pass,
    these are the sums of the activations and of their squares, as many as there are running statistics. In
    the backward pass, they are the gradients of its scale and bias.
    """
    settings = imagenet.get_config(variant)
    settings.data.image_size = settings.data.resize = 32
    settings.batch_size = 16
    config = resolve(settings)
    found, parameters, statistics = compile_step(config, build_model(config.model))
    assert {name for name, _ in found} == {"all-reduce"}
    sent = sum(size(shapes) for _, shapes in found)
    assert sent == parameters + statistics + METRICS
    assert (len(found) == 1) == (variant == "paper")
    page = (REPOSITORY / "docs/many_hosts.md").read_text()
    assert f"| `{variant}` | {len(found)} | {BYTES * sent:,} |" in page


def test_mixing_sends_one_image_and_accumulation_sends_gradients_for_every_part(small_table):
    """A mixed image is mixed with the one before it, which only for the first row is on another device."""
    config = resolve(
        {
            "batch_size": 32,
            "model": {"num_classes": 4},
            "data": {"image_size": 32, "mixup": 0.4, "cutmix": 1.0},
            "optimizer": {"accumulate": 2},
        }
    )
    found, parameters, _ = compile_step(config, GoogLeNet(num_classes=4, table=small_table, aux_heads=0))
    (gradients,) = [shapes for name, shapes in found if name == "all-reduce"]
    mixed = [shapes for name, shapes in found if name != "all-reduce"]
    # These are in the loop over the two parts.
    assert size(gradients) == parameters + len(("logits", "top1"))
    assert sorted(mixed) == [[(1, 4)], [(1, 32, 32, 3)]]
    assert {name for name, _ in found} == {"all-reduce", "collective-permute"}
