"""Which tensors the kernels take; others are computed in the same way by torch."""

import torch
from torch import Tensor


def kernels_take(x: Tensor) -> bool:
    """Return whether a tensor is in single precision and in the CPU's memory.

    Example:
        >>> kernels_take(torch.zeros(2)), kernels_take(torch.zeros(2).double())
        (True, False)
    """
    return x.dtype == torch.float32 and x.device.type == "cpu"
