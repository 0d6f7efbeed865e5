"""Operations of the networks on NHWC arrays: pooling, normalization and convolution.

Each faster form of one of XLA's operations has a plain reference form beside it. The tests check that both
give the same values and gradients, and `fast_paths` decides which of the two runs.
"""

from flax_googlenet.ops.batch_norm import batch_norm_relu
from flax_googlenet.ops.convolution import convolve
from flax_googlenet.ops.local_response_norm import local_response_norm
from flax_googlenet.ops.pooling import average_pool_grid, ceil_mode_padding, max_pool

__all__ = [
    "average_pool_grid",
    "batch_norm_relu",
    "ceil_mode_padding",
    "convolve",
    "local_response_norm",
    "max_pool",
]
