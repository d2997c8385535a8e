import torch

from maskspace.objectives.positions import positions


def test_positions_are_pixel_centres_x_first():
    place = positions(torch.zeros(2, 3, 4, dtype=torch.long))
    assert place.shape == (2, 2, 3, 4)
    assert place[1, :, 2, 3].tolist() == [3.5, 2.5]
    assert place[0, :, 0, 1].tolist() == [1.5, 0.5]
