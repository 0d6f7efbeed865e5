"""Operations of the networks on NHWC arrays: pooling, normalization and convolution.

Each faster form of one of XLA's operations has a reference form beside it. The tests check that both
give the same values and gradients.
"""

from flax_googlenet.ops.convolution import conv_general_dilated
from flax_googlenet.ops.local_response_norm import local_response_norm
from flax_googlenet.ops.pooling import average_pool_grid, ceil_mode_padding, max_pool

__all__ = [
    "average_pool_grid",
    "ceil_mode_padding",
    "conv_general_dilated",
    "local_response_norm",
    "max_pool",
]
