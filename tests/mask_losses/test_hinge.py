import pytest
import torch

from maskspace.mask_losses.hinge import hinge


def test_only_what_is_short_of_the_margin_costs():
    logits = torch.tensor([[[2.0, 0.25, -1.0, 5.0]]])
    truth = torch.tensor([[[1.0, 1.0, 0.0, -1.0]]])
    assert hinge(logits, truth) == pytest.approx(0.75 / 3)
    assert hinge(logits, truth, margin=0.25) == 0
    assert hinge(logits, 1 - truth.clamp(min=0), margin=0.0) == pytest.approx((2 + 0.25 + 1) / 4)


def test_value_equals_the_loop_over_maps():
    torch.manual_seed(0)
    logits, truth = torch.randn(3, 6, 7), torch.randint(-1, 2, (3, 6, 7)).float()
    expected = [
        (1 - z[y >= 0] * (2 * y[y >= 0] - 1)).clamp(min=0).mean()
        for z, y in zip(logits, truth, strict=True)
    ]
    torch.testing.assert_close(hinge(logits, truth), torch.stack(expected).mean())
