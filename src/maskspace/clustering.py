"""Clustering by queries, as the objective trains it and as the decoder repeats it."""

from jaxtyping import Float
from torch import Tensor


def cluster_steps(
    queries: Float[Tensor, "b k c"], features: Float[Tensor, "b p c"], *, steps: int
) -> list[Float[Tensor, "b p k"]]:
    """Return the logits of every expectation step: of each feature, one a cluster.

    ClustSeg's recurrence (Liang et al. 2023, arXiv 2305.02187) without projections. E: logits are
    features . centres, a feature belongs to the clusters by their softmax. M: each centre becomes
    the mean of the features weighted by how much they belong to it, and of one more that is 0. The
    paper's M-step is the sum, which grows with the image; of a plain mean, a cluster that nothing
    belongs to would come to double another. The first centres are `queries`.

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
