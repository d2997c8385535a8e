import numpy as np
import pytest
import torch

from maskspace.partition import DECODERS
from maskspace.partition.decoded import (
    at_size,
    cells,
    finest_level,
    foreground_of,
    gathered,
    need,
)


def test_small_instances_are_dropped_and_the_others_numbered_in_row_major_order():
    labels = np.array([[9, 9, 0], [4, 9, 2], [4, 4, 0]])
    found = gathered(labels, np.arange(9.0).reshape(3, 3), min_area=2)
    assert found.labels.tolist() == [[1, 1, 0], [2, 1, 0], [2, 2, 0]]
    assert np.allclose(found.scores, [(0 + 1 + 4) / 3, (3 + 6 + 7) / 3])


def test_of_no_instance_there_is_no_score():
    found = gathered(np.zeros((2, 3), np.int64), np.ones((2, 3)))
    assert not found.labels.any()
    assert found.scores.shape == (0,)


def test_the_finest_level_is_that_of_the_smallest_stride():
    outputs = {"4": torch.zeros(3, 2, 2), "1": torch.ones(3, 8, 8), "seed": torch.zeros(1, 8, 8)}
    assert finest_level(outputs).shape == (3, 8, 8)
    with pytest.raises(ValueError, match="no embedding among the outputs seed"):
        finest_level({"seed": torch.zeros(1, 8, 8)})


def test_a_missing_head_is_named():
    with pytest.raises(ValueError, match="decoder x needs the head seed; the model has 1"):
        need({"1": torch.zeros(1, 2, 2)}, "seed", decoder="x")


def test_foreground_is_brought_to_the_size():
    logits = torch.tensor([[[-1.0, 1.0]]])
    assert foreground_of({"foreground": logits}, (2, 4)).tolist() == 2 * [
        [False, False, True, True]
    ]
    assert foreground_of({"1": logits}, (2, 4)).all()
    assert at_size(logits, (1, 2)) is logits


def test_pixels_of_the_image_are_fewer_cells_of_a_coarse_embedding():
    assert cells({"1": torch.zeros(1), "4": torch.zeros(1)}, 16) == 16
    assert cells({"2": torch.zeros(1), "foreground": torch.zeros(1)}, 16) == 4
    assert cells({"4": torch.zeros(1)}, 15) == 1
    assert cells({"energy": torch.zeros(1)}, 16) == 16


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("name", ["components", "mean_shift", "merge_tree", "agglomeration"])
def test_the_smallest_instance_has_as_many_pixels_at_every_stride(name, stride):
    """A square of 8 x 8 pixels is found where it is large enough, however coarse the cells."""
    image = torch.zeros(1, 64, 64)
    image[:, 16:24, 32:40] = 1
    outputs = {str(stride): image[:, ::stride, ::stride].contiguous()}
    options = {"bandwidth": 0.2} if name in ("mean_shift", "agglomeration") else {}
    found = {
        area: DECODERS[name](outputs, min_area=area, **options).at((64, 64)).ranked(limit=9)
        for area in (64, 80)
    }
    areas = {area: sorted(one.masks.sum(axis=(1, 2)).tolist()) for area, one in found.items()}
    assert areas[64] == [64, 64 * 64 - 64]
    assert areas[80] == [64 * 64 - 64]
