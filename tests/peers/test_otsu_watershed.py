import numpy as np
import pytest

from maskspace.masks import pairwise_iou
from maskspace.peers.otsu_watershed import otsu_watershed
from maskspace.segmenter.loading import load


def discs(places, radius=9, size=80):
    rows, columns = np.mgrid[:size, :size]
    return np.stack([(rows - y) ** 2 + (columns - x) ** 2 <= radius**2 for y, x in places])


def painted(masks, *, inside, outside):
    image = np.full((*masks.shape[1:], 3), outside, np.uint8)
    image[masks.any(axis=0)] = inside
    return image


@pytest.mark.parametrize(("inside", "outside"), [(200, 30), (40, 220)])
def test_touching_discs_are_told_apart_bright_or_dark(inside, outside):
    true = discs([(20, 20), (20, 36), (60, 55)])
    found = otsu_watershed(painted(true, inside=inside, outside=outside))
    assert len(found) == 3
    assert pairwise_iou(found.masks, true).max(axis=0).min() > 0.85


def test_larger_blobs_come_first_and_small_ones_not_at_all():
    true = np.concatenate([discs([(20, 20)], radius=12), discs([(60, 60)], radius=6)])
    image = painted(true, inside=250, outside=0)
    found = otsu_watershed(image)
    assert list(found.scores) == sorted(found.scores, reverse=True)
    assert len(otsu_watershed(image, limit=1)) == 1
    assert len(otsu_watershed(image, min_area=300)) == 1


def test_one_grey_has_no_blob_and_the_name_is_loaded():
    model = load("otsu-watershed@min_distance=3")
    assert len(model.propose(np.full((32, 32, 3), 7, np.uint8))) == 0
