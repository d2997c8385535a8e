"""Clusters of a sample of pixels by density at every scale, and the pixels near them.

HDBSCAN (Campello, Moulavi, Sander 2013, doi:10.1007/978-3-642-37456-2_14) in scikit-learn's
implementation; it needs no bandwidth. Pixels outside of the sample go to the nearest cluster mean.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskspace.partition.decoded import cells, foreground_of, gathered
from maskspace.partition.modes import evenly_spaced, nearest_mode
from maskspace.partition.offset_read import embedding_of
from maskspace.prediction import Prediction

_ROUNDING = 1e-5  # error of a distance, as a share of the sample's extent


def hdbscan(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    min_size: int = 64,
    sample: int = 5000,
    min_area: int = 16,
) -> Prediction:
    """Return the pixels of each cluster of the embedding.

    A pixel belongs to the nearest cluster mean if it is not farther than the farthest sampled
    member of that cluster. A sample without structure is one instance. The score is the mean of 1 -
    d / r, where d is the distance to the mean and r that of the farthest member; it is 1 where r is
    0.

    Args:
        outputs: an embedding level, and `foreground` if the network has it.
        min_size: least size of a cluster, in pixels of the image, >= 1; of a sample it is the same
            share, at least 2 (default 64).
        sample: most pixels that are clustered, >= 2 (default 5000).
        min_area: instances of fewer pixels of the image are dropped (default 16).

    Example:
        >>> import torch
        >>> halves = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0)) / 100
        >>> halves[:, :, 4:] += 1
        >>> hdbscan({"1": halves}, min_size=8, min_area=1).labels.max().item()
        2
    """
    if min_size < 1 or sample < 2:
        raise ValueError(
            f"hdbscan: min_size is at least 1, sample at least 2; got {min_size}, {sample}"
        )
    embedding = embedding_of(outputs)
    inside = foreground_of(outputs, (embedding.shape[1], embedding.shape[2]))
    labels = torch.zeros(inside.shape, dtype=torch.int64, device=inside.device)
    quality = torch.zeros(inside.shape, device=inside.device)
    pixels = embedding[:, inside].T.contiguous()
    if len(pixels):
        points = pixels[evenly_spaced(len(pixels), sample).to(pixels.device)]
        least = max(2, round(cells(outputs, min_size) * len(points) / len(pixels)))
        index = torch.from_numpy(sample_clusters(points.cpu().numpy(), least=least))
        means, radius = _balls(points, index.to(points.device))
        nearest, distance = nearest_mode(pixels, means)
        reach = radius[nearest]
        tolerance = _ROUNDING * (points - points.mean(0)).norm(dim=1).max()
        labels[inside] = torch.where(distance <= reach + tolerance, nearest + 1, 0)
        quality[inside] = torch.where(reach > tolerance, 1 - distance / reach, 1.0).clamp(min=0)
    return gathered(labels.cpu().numpy(), quality.cpu().numpy(), min_area=cells(outputs, min_area))


def sample_clusters(points: Float32[np.ndarray, "n c"], *, least: int) -> Int64[np.ndarray, " n"]:
    """Return the cluster of each point, -1 for noise; all points in one if no cluster is found.

    `least` is the least number of points of a cluster.

    Example:
        >>> import torch
        >>> points = torch.tensor([[0.0], [0.1], [0.2], [9.0], [9.1], [9.2]])
        >>> sample_clusters(points.numpy(), least=2).tolist()
        [0, 0, 0, 1, 1, 1]
    """
    from sklearn.cluster import HDBSCAN  # takes seconds

    distinct = len(np.unique(points, axis=0))
    if len(points) < 2 * least or distinct == 1:
        return np.zeros(len(points), np.int64)
    grouping = HDBSCAN(min_cluster_size=least, copy=True)  # pyright: ignore[reportArgumentType]
    clusters = grouping.fit(points).labels_
    return clusters.astype(np.int64) if (clusters >= 0).any() else np.zeros(len(points), np.int64)


def _balls(
    points: Float32[Tensor, "n c"], index: Int64[Tensor, " n"]
) -> tuple[Float32[Tensor, "k c"], Float32[Tensor, " k"]]:
    """Return the mean of each cluster and the distance of its farthest member."""
    points, index = points[index >= 0], index[index >= 0]
    number = int(index.max()) + 1
    count = torch.bincount(index, minlength=number)[:, None]
    means = torch.zeros((number, points.shape[1]), device=points.device)
    means = means.index_add(0, index, points) / count
    distance = (points - means[index]).norm(dim=1)
    radius = torch.zeros(number, device=points.device).scatter_reduce(0, index, distance, "amax")
    return means, radius
