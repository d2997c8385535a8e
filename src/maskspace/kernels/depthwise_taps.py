"""The gradient of the weights of a depthwise convolution.

Input: the padded input and the gradient of the output, channels last.
Idea: the gradient of a tap is the sum over the output of gradient times the input under the tap;
    the innermost loop runs over channels, which lie side by side in memory.
Steps: for every cell of the output, add its products to each of the k x k taps.
Cost: k^2 products for a value of the output, with vector instructions, and no memory but the
    result.
"""

import numpy as np
from jaxtyping import Float32

from maskspace.kernels.compiled import vectorised


@vectorised
def depthwise_taps(
    x: Float32[np.ndarray, "b h w c"],
    grad: Float32[np.ndarray, "b r s c"],
    stride: int,
    taps: Float32[np.ndarray, "k k c"],
) -> None:
    """Add the gradient of the weights to `taps`.

    Args:
        x: the padded input.
        grad: the gradient of the output.
        stride: steps in x between neighbouring cells of the output.
        taps: the gradient of the weights.

    Example:
        >>> x = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1)
        >>> taps = np.zeros((2, 2, 1), np.float32)
        >>> depthwise_taps(x, np.full((1, 1, 1, 1), 10, np.float32), 1, taps)
        >>> taps[..., 0].tolist()  # the input under each tap, times the gradient
        [[0.0, 10.0], [20.0, 30.0]]
    """
    kernel, channels = taps.shape[0], taps.shape[2]
    for image in range(grad.shape[0]):
        for row in range(grad.shape[1]):
            for i in range(kernel):
                for column in range(grad.shape[2]):
                    for j in range(kernel):
                        for channel in range(channels):
                            taps[i, j, channel] += (
                                grad[image, row, column, channel]
                                * x[image, row * stride + i, column * stride + j, channel]
                            )
