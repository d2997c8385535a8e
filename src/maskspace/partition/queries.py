"""Queries as clusters: every pixel goes to the cluster with the largest share of it.

ClustSeg's way (Liang et al. 2023, arXiv 2305.02187) to read the queries that its objective trains:
the shares are those after a few recurrent steps.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32
from torch import Tensor

from maskspace.clustering import cluster_steps
from maskspace.partition.decoded import cells, finest_level, foreground_of, gathered, need
from maskspace.prediction import Prediction


def queries(
    outputs: Mapping[str, Float32[Tensor, "..."]], *, steps: int = 3, min_area: int = 16
) -> Prediction:
    """Return an instance for each query but the last, of the pixels with their largest share in it.

    The last query is the background's. The score is the mean of the cells' shares, in [0, 1].

    Args:
        outputs: an embedding level and `query`; and `foreground` if the network has it.
        steps: number of expectation steps (default 3).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Raises ValueError where an output is missing, or queries do not have the embedding's channels.

    Example:
        >>> import torch
        >>> level = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])
        >>> vectors = torch.tensor([[9.0, 0.0], [0.0, 9.0]])  # the last is the background's
        >>> queries({"1": level, "query": vectors}, min_area=1).labels.tolist()
        [[1, 1, 0]]
    """
    embedding = finest_level(outputs)
    channels, height, width = embedding.shape
    centres = _vectors(need(outputs, "query", decoder="queries"), channels)[None]
    features = embedding.flatten(1).T[None]
    share, query = cluster_steps(centres, features, steps=steps)[-1][0].softmax(1).max(1)
    inside = foreground_of(outputs, (height, width)).flatten() & (query < centres.shape[1] - 1)
    index = torch.where(inside, query + 1, 0).view(height, width)
    quality = share.view(height, width)
    return gathered(index.cpu().numpy(), quality.cpu().numpy(), min_area=cells(outputs, min_area))


def _vectors(query: Float32[Tensor, "k d"], channels: int) -> Float32[Tensor, "n c"]:
    """Return queries of `channels` channels each; models of before 2027 hold all in one row.

    Raises ValueError if they are not a whole number of such vectors.
    """
    if query.numel() % channels:
        raise ValueError(
            f"queries have the embedding's {channels} channels each; got {query.numel()} values"
        )
    return query.reshape(-1, channels)
