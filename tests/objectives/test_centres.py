import json

import numpy as np
import pytest
import torch

from maskspace.objectives.centres import CENTRES, towards


def of_points(points_xy, size_hw=(5, 6)):
    labels = torch.zeros(1, *size_hw, dtype=torch.long)
    for x, y in points_xy:
        labels[0, y, x] = 4
    return labels


def naive(rule, points_xy):
    """The centre of pixels x, y in reading order, at their corners."""
    p = np.array(points_xy, dtype=float)
    if rule == "mean":
        return p.mean(0)
    if rule == "centroid":
        return np.round(p.mean(0))
    if rule == "approximate_medoid":
        return p[((p - np.median(p, 0)) ** 2).sum(1).argmin()]
    return p[np.hypot(*(p[:, None] - p[None]).transpose(2, 0, 1)).sum(1).round(6).argmin()]


def test_centres_are_the_recorded_ones(vectors):
    recorded = json.loads((vectors / "embedding_vectors.json").read_text())
    for case in recorded["2_spatial_embedding"]["center_rules"]:
        labels = of_points(case["points_xy"])
        for rule in ("approximate_medoid", "medoid"):
            found = CENTRES[rule](labels)[0, 0] - 0.5
            np.testing.assert_allclose(found.numpy(), case[rule], atol=1e-6)
        # recorded before it is rounded to a pixel
        found = CENTRES["mean"](labels)[0, 0] - 0.5
        np.testing.assert_allclose(found.numpy(), case["centroid"], atol=1e-6)
        np.testing.assert_allclose(CENTRES["centroid"](labels)[0, 0] - 0.5, [3.0, 1.0])


@pytest.mark.parametrize("rule", sorted(CENTRES))
def test_centres_of_random_labels_equal_the_loop(rule):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 5, (3, 9, 11), generator=generator)
    labels[1][labels[1] == 2] = 0  # images differ in their number
    found = CENTRES[rule](labels)
    assert found.shape == (3, 4, 2)
    for image in range(3):
        present = sorted(set(labels[image].flatten().tolist()) - {0, UNLABELLED})
        for column, label in enumerate(present):
            points = [(x, y) for y, x in (labels[image] == label).nonzero().tolist()]
            expected = naive(rule, points) + 0.5
            np.testing.assert_allclose(found[image, column].numpy(), expected)
        assert (found[image, len(present) :] == 0).all() or rule == "centroid"


UNLABELLED = -1


@pytest.mark.parametrize("rule", sorted(CENTRES))
def test_images_without_instances_have_no_centres(rule):
    assert CENTRES[rule](torch.zeros(2, 3, 4, dtype=torch.long)).shape == (2, 0, 2)


@pytest.mark.parametrize("rule", ["approximate_medoid", "medoid"])
def test_medoids_lie_in_a_crescent_whose_mean_does_not(rule):
    rows, columns = torch.meshgrid(torch.arange(21), torch.arange(21), indexing="ij")
    radius = torch.hypot(rows - 10.0, columns - 10.0)
    labels = ((radius > 6) & (radius < 10) & (rows < 14)).long()[None]
    x, y = CENTRES[rule](labels)[0, 0].floor().long().tolist()
    assert labels[0, y, x] == 1
    x, y = CENTRES["mean"](labels)[0, 0].floor().long().tolist()
    assert labels[0, y, x] == 0


def test_directions_are_units_that_point_at_the_centre_and_0_there():
    labels = torch.zeros(1, 3, 5, dtype=torch.long)
    labels[0, 1, 1:4] = 2
    found = towards(labels, CENTRES["mean"](labels))[0]
    assert found[:, 1, 1].tolist() == [1.0, 0.0]
    assert found[:, 1, 2].tolist() == [0.0, 0.0]
    assert found[:, 1, 3].tolist() == [-1.0, 0.0]
    assert found.abs().sum() == 2
