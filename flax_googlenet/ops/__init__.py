"""Operations of the networks on NHWC arrays: pooling, normalization and convolution.

An operation that XLA runs slowly has a plain reference form beside it; tests hold the two to
the same values and gradients.
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
