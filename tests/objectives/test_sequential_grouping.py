import math

import pytest
import torch

from maskspace.objectives.sequential_grouping import break_terms, sequential_grouping


@pytest.fixture
def labels():
    labels = torch.zeros(1, 6, 8, dtype=torch.long)
    labels[:, :4, :4], labels[:, :4, 4:7], labels[:, 5] = 1, 2, -1
    return labels


def test_value_equals_the_loop_over_pairs(labels):
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 6, 8, dtype=torch.double)
    costs = {True: [], False: []}
    y = labels[0]
    for channel, (down, right) in enumerate(((0, 1), (1, 0))):
        for row in range(6 - down):
            for column in range(8 - right):
                a, b = y[row, column].item(), y[row + down, column + right].item()
                p = logits[0, channel, row, column].sigmoid()
                if min(a, b) >= 0:
                    costs[a != b].append(-(p if a != b else 1 - p).log())
    expected = sum(torch.stack(part).mean() for part in costs.values()) / 2
    torch.testing.assert_close(
        break_terms({"affinity": logits}, labels, foreground=0.0)["breaks"], expected
    )


def perfect(labels):
    logits = torch.full((1, 2, 6, 8), -20.0)
    logits[:, 0, :, :-1][labels[:, :, :-1] != labels[:, :, 1:]] = 20.0
    logits[:, 1, :-1][labels[:, :-1] != labels[:, 1:]] = 20.0
    return {"affinity": logits, "foreground": torch.where(labels > 0, 20.0, -20.0)[:, None]}


def test_true_breaks_cost_nothing_and_shuffled_ones_more(labels):
    outputs = perfect(labels)
    assert sum(break_terms(outputs, labels).values()) < 1e-6
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in outputs.items()}
    assert break_terms(shuffled, labels)["breaks"] > 1


def test_a_constant_output_costs_the_logarithm_of_two_and_pixels_have_slopes(labels):
    logits = torch.zeros(1, 2, 6, 8, requires_grad=True)
    value = break_terms({"affinity": logits}, labels, foreground=0.0)["breaks"]
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(math.log(2))
    assert gradient.sum().abs() < 1e-6
    assert gradient.abs().max() > 1e-3


def test_gradients_are_those_of_finite_differences(labels):
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 6, 8, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: break_terms({"affinity": z}, labels, foreground=0.0)["breaks"],
        logits,
        fast_mode=True,
    )


def test_names_do_not_matter_and_unknown_pairs_take_no_part(labels):
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 6, 8)
    renamed = torch.tensor([0, 9, 4, -1])[labels]
    value = break_terms({"affinity": logits}, labels, foreground=0.0)
    torch.testing.assert_close(break_terms({"affinity": logits}, renamed, foreground=0.0), value)
    changed = logits.clone()
    changed[:, :, 5], changed[:, 1, 4] = 7.0, 7.0
    torch.testing.assert_close(break_terms({"affinity": changed}, labels, foreground=0.0), value)


def test_without_its_weight_there_is_no_foreground():
    assert set(sequential_grouping(foreground=0.0).heads) == {"affinity"}
