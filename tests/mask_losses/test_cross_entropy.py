import math

import torch
from torch.nn import functional as F

from maskspace.mask_losses.cross_entropy import cross_entropy


def test_value_is_the_mean_over_maps_of_the_mean_over_known_pixels():
    torch.manual_seed(0)
    logits, truth = torch.randn(3, 6, 7), torch.randint(-1, 2, (3, 6, 7)).float()
    expected = [
        F.binary_cross_entropy_with_logits(z[y >= 0], y[y >= 0])
        for z, y in zip(logits, truth, strict=True)
    ]
    torch.testing.assert_close(cross_entropy(logits, truth), torch.stack(expected).mean())


def test_a_logit_of_zero_costs_a_bit():
    value = cross_entropy(torch.zeros(1, 2, 2), torch.ones(1, 2, 2))
    torch.testing.assert_close(value, torch.tensor(math.log(2)))


def test_a_very_wrong_pixel_costs_its_logit():
    value = cross_entropy(torch.full((1, 1, 1), -1e4), torch.ones(1, 1, 1))
    torch.testing.assert_close(value, torch.tensor(1e4))
