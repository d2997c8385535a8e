"""Where pixels are: their centres in pixels, x before y, as heads with positions have them."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def positions(
    labels: Int[Tensor, "b h w"], *, dtype: torch.dtype = torch.float64
) -> Float[Tensor, "b 2 h w"]:
    """Return x and y of every pixel's centre, 0.5 at the first; a view, the same in every image.

    Double precision by default: a sum over a megapixel of them is exact.

    Example:
        >>> positions(torch.zeros(1, 1, 3, dtype=torch.long))[0].tolist()
        [[[0.5, 1.5, 2.5]], [[0.5, 0.5, 0.5]]]
    """
    rows, columns = (
        torch.arange(length, dtype=dtype, device=labels.device) + 0.5 for length in labels.shape[1:]
    )
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    return place.expand(len(labels), -1, -1, -1)
