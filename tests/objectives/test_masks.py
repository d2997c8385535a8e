import pytest
import torch

from maskspace.objectives import MASK_LOSSES
from maskspace.objectives.masks import normalised_focal, soft_iou


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_right_is_near_zero_and_wrong_is_worse(name):
    truth = (torch.arange(64).view(1, 8, 8) % 3 == 0).float()
    right, wrong = (truth * 2 - 1) * 12, (1 - truth * 2) * 12
    assert MASK_LOSSES[name](right, truth) < 1e-2
    assert MASK_LOSSES[name](wrong, truth) > 0.8


@pytest.mark.parametrize("name", sorted(MASK_LOSSES))
def test_unknown_pixels_change_nothing(name):
    torch.manual_seed(0)
    truth, logits = (torch.rand(2, 6, 6) > 0.5).float(), torch.randn(2, 6, 6)
    truth[:, :2] = -1
    other = logits.clone()
    other[:, :2] = 9.0
    torch.testing.assert_close(MASK_LOSSES[name](logits, truth), MASK_LOSSES[name](other, truth))


def test_focal_equals_its_definition_on_one_mask():
    torch.manual_seed(0)
    logits, truth = torch.randn(1, 5, 5), (torch.rand(1, 5, 5) > 0.5).float()
    agreement = 1 - (truth - logits.sigmoid()).abs()
    weight = (1 - agreement) ** 2
    weight = weight * 25 / weight.sum()
    expected = (-0.5 * weight * agreement.log()).mean()
    torch.testing.assert_close(normalised_focal(logits, truth), expected)


def test_soft_iou_of_hard_masks_is_one_minus_iou_with_a_pixel_added():
    truth = torch.zeros(1, 4, 4)
    truth[:, :2] = 1
    predicted = torch.zeros(1, 4, 4)
    predicted[:, 1:3] = 1
    value = soft_iou((predicted * 2 - 1) * 50, truth)
    assert value == pytest.approx(1 - (4 + 1) / (12 + 1))
