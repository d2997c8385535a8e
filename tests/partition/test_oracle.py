import numpy as np
import pytest
import torch

from maskspace.partition.oracle import k_means, oracle_decode
from tests.partition.scenes import perfect_embedding, same_partition, touching


def noisy(true, noise):
    embedding = torch.from_numpy(perfect_embedding(true).astype(np.float32))
    generator = torch.Generator().manual_seed(0)
    return embedding + noise * torch.randn(embedding.shape, generator=generator)


def test_separable_instances_are_the_true_ones():
    true = touching()
    assert same_partition(oracle_decode(noisy(true, 0.3), torch.from_numpy(true)).labels, true)
    found = k_means(noisy(true, 0.3), 6, foreground=torch.from_numpy(true > 0))
    assert same_partition(found.labels, true)
    assert same_partition(k_means(noisy(true, 0.3), 7).labels, true + 1)


def test_every_pixel_goes_to_the_nearest_of_the_true_means():
    true = touching((12, 15))
    embedding = noisy(true, 3.0)
    flat = embedding.double().numpy()
    ids = np.unique(true[true > 0])
    means = np.stack([flat[:, true == k].mean(1) for k in ids])
    distance = np.linalg.norm(flat[None] - means[:, :, None, None], axis=1)
    for bandwidth in (float("inf"), 8.0):
        found = oracle_decode(embedding, torch.from_numpy(true), bandwidth=bandwidth).labels
        inside = (true > 0) & (distance.min(0) <= bandwidth)
        assert same_partition(found, np.where(inside, 1 + distance.argmin(0), 0))


def test_unknown_pixels_go_to_a_mean_and_the_background_to_none():
    embedding = torch.tensor([[[0.0, 0.1, 5.0, 4.9, 0.0]]])
    labels = torch.tensor([[1, -1, 2, -1, 0]])
    assert oracle_decode(embedding, labels).labels.tolist() == [[1, 1, 2, 2, 0]]


def test_without_instances_there_are_none():
    assert (
        len(oracle_decode(torch.zeros(2, 3, 3), torch.zeros(3, 3, dtype=torch.int64)).scores) == 0
    )
    empty = torch.zeros((3, 3), dtype=torch.bool)
    assert len(k_means(torch.zeros(2, 3, 3), 2, foreground=empty).scores) == 0


def test_clusters_are_no_more_than_vectors_that_differ():
    embedding = torch.zeros(1, 4, 4)
    embedding[:, 2:] = 1.0
    found = k_means(embedding, 5)
    assert len(found.scores) == 2
    assert (k_means(embedding.clone(), 5).labels == found.labels).all()
    with pytest.raises(ValueError, match="number is at least 1"):
        k_means(embedding, 0)
