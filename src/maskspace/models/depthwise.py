"""Depthwise convolution whose gradients in bfloat16 are as fast on a CPU as its forward pass.

oneDNN's bfloat16 kernels are twice as fast as float32, but two gradients fall back to slow code:
that of the input at stride 2 (four times the time of float32), which is computed in float32 here,
and that of the weights at 5x5 (three times), which has a kernel of our own.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from maskspace.kernels.depthwise_taps import depthwise_taps


def depthwise(
    x: Float[Tensor, "b c h w"],
    weight: Float[Tensor, "c 1 k k"],
    bias: Float[Tensor, " c"],
    *,
    stride: int,
) -> Float[Tensor, "b c r s"]:
    """Return the convolution of every channel with its own kernel, without padding.

    In the precision of `x`. Half precision on a CPU takes the gradients described above.

    Example:
        >>> x, weight = torch.ones(1, 2, 4, 4), torch.ones(2, 1, 3, 3)
        >>> depthwise(x, weight, torch.zeros(2), stride=1)[0, 0].tolist()
        [[9.0, 9.0], [9.0, 9.0]]
    """
    weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    if x.dtype == torch.bfloat16 and x.device.type == "cpu" and torch.is_grad_enabled():
        return _Depthwise.apply(x, weight, bias, stride)
    return F.conv2d(x, weight, bias, stride, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        # any other order of memory takes slow code; one that comes from a sum is of no order
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        half = x.dtype if ctx.stride == 1 else torch.float32
        of_x, *_ = torch.ops.aten.convolution_backward(
            grad.to(half), x.to(half), weight.to(half), None, [ctx.stride] * 2, [0, 0], [1, 1],
            False, [0, 0], len(weight), [True, False, False],
        )  # fmt: skip
        of_weight = _of_weight(x, grad, kernel=weight.shape[-1], stride=ctx.stride)
        return of_x.to(x.dtype), of_weight.to(weight.dtype), grad.sum((0, 2, 3)), None


def _of_weight(
    x: Float[Tensor, "b c h w"], grad: Float[Tensor, "b c r s"], *, kernel: int, stride: int
) -> Float[Tensor, "c 1 k k"]:
    taps = np.zeros((kernel, kernel, x.shape[1]), np.float32)
    image, gradient = (
        t.detach().float().permute(0, 2, 3, 1).contiguous().numpy() for t in (x, grad)
    )
    depthwise_taps(image, gradient, stride, taps)
    return torch.from_numpy(taps).permute(2, 0, 1)[:, None]
