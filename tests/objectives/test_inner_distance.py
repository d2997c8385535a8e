import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from maskspace.objectives.inner_distance import inner_direction, inner_distance


def depths(mask):
    return np.asarray(distance_transform_edt(mask))


def blobs(size_hw, number, seed):
    """Discs over discs on a background, with an unlabelled strip."""
    generator = np.random.default_rng(seed)
    rows, columns = np.indices(size_hw)
    labels = np.zeros(size_hw, dtype=int)
    for k in range(1, number + 1):
        y, x = generator.uniform(0, size_hw[0]), generator.uniform(0, size_hw[1])
        labels[np.hypot(rows - y, columns - x) < generator.uniform(3, 15)] = k
    labels[-2:] = -1
    return labels


@pytest.mark.parametrize("seed", range(6))
def test_distances_equal_the_transform_of_every_instance(seed):
    labels = np.stack([blobs((37, 45), n, seed) for n in (3, 12)])
    found = inner_distance(torch.from_numpy(labels)).numpy()
    for image, y in zip(found, labels, strict=True):
        expected = np.zeros(y.shape)
        for k in set(y[y > 0].tolist()):
            expected += depths(y == k)
        np.testing.assert_allclose(image, expected, atol=1e-5)


def test_distances_equal_the_transform_on_noise():
    labels = np.random.default_rng(0).integers(-1, 3, (20, 31))
    found = inner_distance(torch.from_numpy(labels)[None])[0].numpy()
    for k in (1, 2):
        expected = depths(labels == k)
        np.testing.assert_allclose(found[labels == k], expected[labels == k], atol=1e-5)
    assert (found[labels <= 0] == 0).all()


def test_the_edge_of_the_image_is_no_edge_of_an_instance():
    labels = torch.ones(1, 4, 9, dtype=torch.long)
    assert inner_distance(labels).isinf().all()
    labels[..., 0] = 0
    assert inner_distance(labels)[0, 2].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert inner_distance(labels.transpose(1, 2))[0, :, 2].tolist() == list(range(9))


def test_directions_point_away_from_the_edge_and_are_of_length_one():
    labels = torch.zeros(1, 21, 21, dtype=torch.long)
    labels[0, 2:19, 2:19] = 3
    distance = inner_distance(labels)
    direction, valid = inner_direction(distance, labels)
    torch.testing.assert_close(direction[0, :, 10, 5], torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(direction[0, :, 15, 10], torch.tensor([0.0, -1.0]))
    assert not valid[0, 10, 10]  # the ridge
    assert not valid[0, 2, 10]  # the edge
    assert valid[0, 3, 10]
    assert torch.allclose(direction.norm(dim=1)[valid], torch.tensor(1.0))
    assert (direction.norm(dim=1)[~valid] == 0).all()


def test_instances_that_fill_the_image_have_no_direction():
    labels = torch.ones(1, 5, 5, dtype=torch.long)
    direction, valid = inner_direction(inner_distance(labels), labels)
    assert not valid.any()
    assert (direction == 0).all()
