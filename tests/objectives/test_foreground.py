import math

import pytest
import torch
from torch.nn import functional as F

from maskspace.objectives.foreground import foreground_head, foreground_term


def test_value_is_the_mean_over_images_of_the_mean_over_known_pixels():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 1, 5, 6), torch.randint(-1, 3, (3, 5, 6))
    expected = [
        F.binary_cross_entropy_with_logits(z[0][y >= 0], (y[y >= 0] > 0).float())
        for z, y in zip(logits, labels, strict=True)
    ]
    value = foreground_term({"foreground": logits}, labels)
    torch.testing.assert_close(value, torch.stack(expected).mean())


def test_an_image_of_which_nothing_is_known_takes_no_part():
    logits, labels = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 4, 4))
    labels[1] = -1
    value = foreground_term({"foreground": logits}, labels)
    torch.testing.assert_close(value, foreground_term({"foreground": logits[:1]}, labels[:1]))
    assert foreground_term({"foreground": logits[1:]}, labels[1:]) == 0


def test_cells_of_a_coarser_head_are_known_where_they_hold_one_label():
    labels = torch.tensor([[[1, 1, 0, 2], [1, 1, 0, 2]]])
    logits = torch.tensor([[[[0.0, 90.0]]]])  # the second cell is mixed
    value = foreground_term({"foreground": logits}, labels, stride=2)
    assert value == pytest.approx(math.log(2))


def test_its_head_is_one_logit_a_cell():
    head = foreground_head(stride=2)
    assert (head.channels, head.stride, head.activation) == (1, 2, "none")
