"""The embedding as decoders read it: through learned offsets where a network has them.

The fusion of OVeNet (Alexandropoulos et al. 2023, arXiv 2303.14516), on the embedding in place of
class scores: (1 - F) x(p) + F x(p + o), bilinear, with the border repeated. `confidence` is F in
[0, 1]; `offset` is o, x and y, in units of half the image's width and height.
"""

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional as F

from maskspace.partition.decoded import HeadOutputs, at_size, finest_level


def embedding_of(outputs: HeadOutputs) -> Float32[Tensor, "c h w"]:
    """Return the finest embedding; it is fused where there are `offset` and `confidence`.

    Example:
        >>> import torch
        >>> level = torch.arange(4.0).reshape(1, 1, 4)
        >>> right = torch.stack([torch.ones(1, 4), torch.zeros(1, 4)])
        >>> embedding_of({"1": level}).tolist()
        [[[0.0, 1.0, 2.0, 3.0]]]
        >>> embedding_of({"1": level, "offset": right, "confidence": torch.ones(1, 1, 4)}).tolist()
        [[[2.0, 3.0, 3.0, 3.0]]]
    """
    embedding = finest_level(outputs)
    if "offset" not in outputs or "confidence" not in outputs:
        return embedding
    size_hw = (embedding.shape[1], embedding.shape[2])
    offset, confidence = (at_size(outputs[name], size_hw) for name in ("offset", "confidence"))
    rows, columns = (
        (2 * torch.arange(side, device=embedding.device) + 1.0) / side - 1 for side in size_hw
    )
    pixel_xy = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))  # x y
    grid = (pixel_xy + offset).permute(1, 2, 0)[None]
    at_offset = F.grid_sample(embedding[None], grid, padding_mode="border", align_corners=False)[0]
    return (1 - confidence) * embedding + confidence * at_offset
