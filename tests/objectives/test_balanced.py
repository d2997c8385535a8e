import math

import pytest
import torch

from maskspace.objectives.balanced import balanced_cross_entropy


def test_value_equals_the_loop_over_classes():
    torch.manual_seed(0)
    logits = torch.randn(3, 40, dtype=torch.double)
    truth, known = torch.rand(3, 40) > 0.8, torch.rand(3, 40) > 0.2
    expected = []
    for z, t, k in zip(logits, truth, known, strict=True):
        p = z.sigmoid()
        expected.append((-p[t & k].log().mean() - (1 - p[~t & k]).log().mean()) / 2)
    value = balanced_cross_entropy(logits, truth, known)
    torch.testing.assert_close(value, torch.stack(expected).mean())


def test_missing_classes_and_images_take_no_part():
    logits = torch.tensor([[2.0, 2.0], [-1.0, 5.0], [3.0, 3.0]])
    truth = torch.tensor([[True, True], [False, True], [True, False]])
    known = torch.tensor([[True, True], [True, False], [False, False]])
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert balanced_cross_entropy(logits, truth, known).item() == pytest.approx(expected)


def test_nothing_known_costs_nothing_and_zeros_cost_the_logarithm_of_two():
    logits = torch.zeros(1, 4, requires_grad=True)
    nothing, all_known = torch.zeros(1, 4, dtype=torch.bool), torch.ones(1, 4, dtype=torch.bool)
    assert balanced_cross_entropy(logits, nothing, nothing) == 0
    one = torch.tensor([[True, False, False, False]])
    assert balanced_cross_entropy(logits, one, all_known).item() == pytest.approx(math.log(2))


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, dtype=torch.double, requires_grad=True)
    truth, known = torch.rand(2, 6) > 0.5, torch.rand(2, 6) > 0.3
    assert torch.autograd.gradcheck(lambda z: balanced_cross_entropy(z, truth, known), logits)
