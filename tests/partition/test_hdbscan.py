import numpy as np
import pytest
import torch
from sklearn.cluster import HDBSCAN

from maskspace.partition.hdbscan import hdbscan, sample_clusters
from tests.partition.scenes import perfect_outputs, same_partition, touching


def test_noisy_instances_are_found_without_a_bandwidth():
    true = touching()
    for scale in (1.0, 100.0):
        outputs = perfect_outputs(true, heads=("1", "foreground"))
        noise = torch.randn(outputs["1"].shape, generator=torch.Generator().manual_seed(0))
        outputs["1"] = scale * (outputs["1"] + 0.1 * noise)
        found = hdbscan(outputs)
        assert len(found.scores) == 6
        inside = found.labels > 0
        assert inside.sum() > 0.95 * (true > 0).sum()
        assert same_partition(found.labels, np.where(inside, true, 0))


def test_a_sample_of_everything_is_clustered_as_by_scikit_learn():
    rng = np.random.default_rng(0)
    points = (rng.integers(0, 3, (300, 1)) + 0.1 * rng.standard_normal((300, 2))).astype(np.float32)
    expected = HDBSCAN(min_cluster_size=20, copy=True).fit(points).labels_
    assert (sample_clusters(points, least=20) == expected).all()


def test_few_points_or_equal_ones_are_one_cluster():
    assert (sample_clusters(np.zeros((50, 2), np.float32), least=5) == 0).all()
    assert (sample_clusters(np.eye(3, dtype=np.float32), least=5) == 0).all()


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="min_size is at least 1"):
        hdbscan({"1": torch.zeros(1, 2, 2)}, min_size=0)
