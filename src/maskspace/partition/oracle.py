"""Decoders that know the truth: how well an embedding could be decoded at best."""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from torch import Tensor

from maskspace.partition.decoded import gathered
from maskspace.partition.modes import evenly_spaced, nearest_mode
from maskspace.prediction import Prediction

_SAMPLE = 20_000


def oracle_decode(
    embedding: Float32[Tensor, "c h w"],
    labels: Int[Tensor, "h w"],
    *,
    bandwidth: float = math.inf,
) -> Prediction:
    """Return each pixel as a part of the true instance with the nearest mean.

    It tells how good an embedding is from how well it is clustered. The background, label 0, is
    known. Pixels with a negative label, whose truth is unknown, go to a mean too. The score is the
    mean of 1 / (1 + distance).

    Args:
        embedding: the embedding.
        labels: the true labels.
        bandwidth: pixels farther from every mean are in no instance (default: no limit).

    Example:
        >>> import torch
        >>> embedding = torch.tensor([[[0.0, 0.1, 0.9, 1.0]]])
        >>> oracle_decode(embedding, torch.tensor([[1, 1, 2, 2]])).labels.tolist()
        [[1, 1, 2, 2]]
    """
    ids, index = torch.unique(labels, return_inverse=True)
    is_instance = ids > 0
    if not bool(is_instance.any()):
        return gathered(np.zeros(labels.shape, np.int64), np.zeros(labels.shape))
    pixels = embedding.flatten(1).T.contiguous()
    count = torch.bincount(index.flatten(), minlength=len(ids))[:, None]
    sums = torch.zeros((len(ids), pixels.shape[1]), device=pixels.device)
    means = sums.index_add(0, index.flatten(), pixels) / count
    nearest, distance = nearest_mode(pixels, means[is_instance])
    inside = (labels.flatten() != 0) & (distance <= bandwidth)
    nearest_labels = torch.where(inside, nearest + 1, 0).view(labels.shape)
    quality = (1 / (1 + distance)).view(labels.shape)
    return gathered(nearest_labels.cpu().numpy(), quality.cpu().numpy())


def k_means(
    embedding: Float32[Tensor, "c h w"],
    number: int,
    *,
    foreground: Bool[Tensor, "h w"] | None = None,
) -> Prediction:
    """Return `number` clusters, or fewer if fewer vectors differ; the answer is always the same.

    The means are those of scikit-learn's k-means on at most 20 000 pixels, started by k-means++
    from a fixed seed, the best of three runs. The score is the mean of 1 / (1 + distance).

    Args:
        embedding: the embedding.
        number: number of clusters, >= 1; usually the true number of instances.
        foreground: where pixels are clustered (default None: everywhere).

    Example:
        >>> import torch
        >>> k_means(torch.tensor([[[0.0, 0.1, 0.9, 1.0]]]), 2).labels.tolist()
        [[1, 1, 2, 2]]
    """
    from sklearn.cluster import KMeans  # takes seconds

    if number < 1:
        raise ValueError(f"k_means: number is at least 1; got {number}")
    labels = torch.zeros(embedding.shape[1:], dtype=torch.int64, device=embedding.device)
    quality = torch.zeros(embedding.shape[1:], device=embedding.device)
    inside = torch.ones_like(labels, dtype=torch.bool) if foreground is None else foreground
    pixels = embedding[:, inside].T.contiguous()
    if len(pixels):
        points = pixels[evenly_spaced(len(pixels), _SAMPLE).to(pixels.device)].cpu().numpy()
        clusters = min(number, len(np.unique(points, axis=0)))
        grouping = KMeans(clusters, n_init=3, random_state=0)  # pyright: ignore[reportArgumentType]
        fitted = grouping.fit(points)
        means = torch.from_numpy(fitted.cluster_centers_.astype(np.float32)).to(pixels.device)
        nearest, distance = nearest_mode(pixels, means)
        labels[inside], quality[inside] = nearest + 1, 1 / (1 + distance)
    return gathered(labels.cpu().numpy(), quality.cpu().numpy())
