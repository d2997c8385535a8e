import numpy as np
import pytest
import torch

from maskspace.heads import DenseMap, Level
from maskspace.objectives import OBJECTIVES
from maskspace.training.head_pictures import (
    head_colors,
    picture_row,
    picture_titles,
    wrong_pixels,
)


def test_regions_that_are_the_truth_have_no_wrong_pixel_whatever_their_numbers():
    truth = np.array([[0, 0, 1], [2, 2, 1]])
    assert not wrong_pixels(5 - truth, truth).any()


def test_pixels_of_a_region_that_fits_another_instance_are_wrong():
    truth = np.array([[1, 1, 1, 2], [1, 1, 1, 2]])
    regions = np.array([[1, 1, 1, 1], [1, 1, 1, 2]])
    assert np.argwhere(wrong_pixels(regions, truth)).tolist() == [[0, 3]]


def test_what_nobody_knows_is_not_wrong():
    truth = np.array([[1, 1, -1], [1, 1, -1]])
    assert not wrong_pixels(np.ones_like(truth), truth).any()
    assert not wrong_pixels(truth, np.full_like(truth, -1)).any()


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("1", Level(channels=3, activation="sigmoid")),
        ("1", Level(channels=2, position="add", unit=4.0)),
        ("1", Level(channels=8)),
        ("seed", DenseMap(channels=1, activation="sigmoid")),
        ("foreground", DenseMap(channels=1)),
        ("direction", DenseMap(channels=2, activation="unit")),
        ("energy", DenseMap(channels=5)),
        ("bandwidth", DenseMap(channels=2)),
    ],
)
def test_every_head_is_a_picture_in_colour(name, head):
    colours = head_colors(name, torch.randn(head.channels, 4, 5), head)
    assert colours.shape == (4, 5, 3)
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 1


def test_a_row_has_a_picture_a_title():
    objective = OBJECTIVES["balls"]()
    outputs = {
        name: torch.rand(head.channels, 32 // head.stride, 32 // head.stride)
        for name, head in objective.heads.items()
    }
    truth = np.repeat([[1, 2]], 32, axis=0).repeat(16, axis=1)
    row = picture_row(objective.heads, None, outputs, np.zeros((32, 32, 3), np.uint8), truth)
    titles = ["input", "truth", "1", "2", "4", "partition", "wrong"]
    assert picture_titles(objective.heads) == titles
    assert len(row) == 7
