"""How the network computes: pooling, normalisation and convolution on NHWC arrays.

Each operation has a plain reference form beside the form that runs; the two are
the same function, and the tests hold them to it in values and in gradients.
"""

from flax_googlenet.ops.convolution import conv_general_dilated
from flax_googlenet.ops.local_response_norm import local_response_norm
from flax_googlenet.ops.pooling import average_pool_grid, max_pool

__all__ = ["average_pool_grid", "conv_general_dilated", "local_response_norm", "max_pool"]
