import math

import pytest
import torch

from maskspace.objectives.direction_depth import (
    direction_bins,
    direction_depth,
    direction_terms,
)


@pytest.fixture
def labels():
    labels = torch.zeros(1, 9, 12, dtype=torch.long)
    labels[:, :5, :5], labels[:, 2:8, 6:11], labels[:, 8] = 1, 2, -1
    return labels


def test_value_equals_the_loop_over_pixels(labels):
    torch.manual_seed(0)
    logits = torch.randn(1, 8, 9, 12, dtype=torch.double)
    costs = []
    for k in (1, 2):
        points = (labels[0] == k).nonzero().double()
        y, x = points.mean(0).tolist()
        for row, column in points.long().tolist():
            if (row, column) == (y, x):
                continue
            # of the eight vectors, the nearest to the direction
            dots = [
                (x - column) * math.cos(i * math.pi / 4) + (y - row) * math.sin(i * math.pi / 4)
                for i in range(8)
            ]
            costs.append(-logits[0, :, row, column].log_softmax(0)[dots.index(max(dots))])
    value = direction_terms({"direction_bins": logits}, labels, foreground=0.0)["direction"]
    assert len(costs) == 25 - 1 + 30
    torch.testing.assert_close(value, torch.stack(costs).mean())


def test_classes_go_from_the_right_downwards():
    labels = torch.ones(1, 3, 3, dtype=torch.long)
    bins, has_one = direction_bins(labels)
    assert bins[0].tolist() == [[1, 2, 3], [0, 0, 4], [7, 6, 5]]
    assert not has_one[0, 1, 1]
    assert has_one.sum() == 8


def test_true_directions_cost_nothing_and_shuffled_ones_more(labels):
    bins, _ = direction_bins(labels)
    logits = torch.nn.functional.one_hot(bins, 8).permute(0, 3, 1, 2) * 30.0
    assert direction_terms({"direction_bins": logits}, labels, foreground=0.0)["direction"] < 1e-6
    order = torch.randperm(108, generator=torch.Generator().manual_seed(0))
    shuffled = logits.flatten(2)[..., order].view_as(logits)
    assert direction_terms({"direction_bins": shuffled}, labels, foreground=0.0)["direction"] > 1


def test_a_constant_output_costs_the_logarithm_of_eight_and_has_slopes(labels):
    logits = torch.zeros(1, 8, 9, 12, requires_grad=True)
    value = direction_terms({"direction_bins": logits}, labels, foreground=0.0)["direction"]
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == pytest.approx(math.log(8))
    assert gradient.abs().max() > 1e-3


def test_gradients_are_those_of_finite_differences(labels):
    torch.manual_seed(0)
    logits = torch.randn(1, 8, 9, 12, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: direction_terms({"direction_bins": z}, labels, foreground=0.0)["direction"],
        logits,
        fast_mode=True,
    )


def test_names_do_not_matter_and_images_without_instances_take_no_part(labels):
    torch.manual_seed(0)
    logits = torch.randn(2, 8, 9, 12)
    both = torch.cat([torch.tensor([0, 7, 3, -1])[labels], torch.zeros_like(labels)])
    torch.testing.assert_close(
        direction_terms({"direction_bins": logits}, both, foreground=0.0),
        direction_terms({"direction_bins": logits[:1]}, labels, foreground=0.0),
    )


def test_a_weight_of_depth_says_what_it_lacks():
    with pytest.raises(ValueError, match=r"needs a depth map .* got 1\.0"):
        direction_depth(depth=1.0)
