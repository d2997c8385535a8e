"""Which tensors the kernels are for; others take the same way in torch."""

import torch
from torch import Tensor


def kernels_take(x: Tensor) -> bool:
    """Return whether machine code for the CPU takes a tensor: single precision, in its memory.

    Example:
        >>> kernels_take(torch.zeros(2)), kernels_take(torch.zeros(2).double())
        (True, False)
    """
    return x.dtype == torch.float32 and x.device.type == "cpu"
