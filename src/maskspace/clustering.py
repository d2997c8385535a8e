"""Clustering by queries: the steps that the objective trains and that the decoder repeats."""

from jaxtyping import Float
from torch import Tensor


def cluster_steps(
    queries: Float[Tensor, "b k c"], features: Float[Tensor, "b p c"], *, steps: int
) -> list[Float[Tensor, "b p k"]]:
    """Return the logits of every E-step: for each feature a logit for each cluster.

    ClustSeg's recurrence (Liang et al. 2023, arXiv 2305.02187) without projections. The first
    centres are `queries`. E-step: logits are features . centres, and their softmax says how much a
    feature belongs to each cluster. M-step: a centre becomes the mean of the features with these
    weights, and of one more feature that is 0 with weight 1. The paper's M-step is a sum, which
    grows with the image. A plain mean would let a cluster without features double another cluster.

    Args:
        queries: the first centres.
        features: the vectors to cluster.
        steps: number of E-steps, >= 1.

    Example:
        >>> import torch
        >>> queries = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])  # two clusters begin along two axes
        >>> features = torch.tensor([[[5.0, 1.0], [1.0, 5.0]]])
        >>> steps = cluster_steps(queries, features, steps=2)
        >>> len(steps), steps[-1].argmax(2).tolist()  # each belongs to the cluster of its axis
        (2, [[0, 1]])
    """
    logits = [features @ queries.transpose(1, 2)]
    for _ in range(steps - 1):
        share = logits[-1].softmax(2)
        centres = share.transpose(1, 2) @ features / (share.sum(1) + 1)[..., None]
        logits.append(features @ centres.transpose(1, 2))
    return logits
