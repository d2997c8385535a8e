import pytest
import torch

from maskspace.mask_losses.dice import dice


def test_of_hard_masks_it_is_one_minus_dice_with_a_pixel_added():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    predicted = torch.zeros(1, 4, 4)
    predicted[:, 1:3] = 1
    value = dice((predicted * 2 - 1) * 50, truth)
    assert value == pytest.approx(1 - (2 * 4 + 1) / (8 + 8 + 1))


def test_the_denominator_holds_squares():
    value = dice(torch.zeros(1, 1, 4), torch.tensor([[[1.0, 1.0, 0.0, -1.0]]]))
    assert value == pytest.approx(1 - (2 * 1 + 1) / (3 * 0.25 + 2 + 1))


def test_two_empty_masks_agree():
    assert dice(torch.full((1, 4, 4), -200.0), torch.zeros(1, 4, 4)) == 0
