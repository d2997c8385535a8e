import pytest
import torch

from maskspace.mask_losses.soft_iou import soft_iou


def test_of_hard_masks_it_is_one_minus_iou_with_a_pixel_added():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    predicted = torch.zeros(1, 4, 4)
    predicted[:, 1:3] = 1
    value = soft_iou((predicted * 2 - 1) * 50, truth)
    assert value == pytest.approx(1 - (4 + 1) / (12 + 1))


def test_two_empty_masks_agree():
    assert soft_iou(torch.full((1, 4, 4), -200.0), torch.zeros(1, 4, 4)) == 0
