import math

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.harmonic import (
    crowding,
    fit_guides,
    grouped,
    guide_means,
    guide_targets,
    near_boundary,
    random_guides,
    regression,
    unit_coordinates,
)
from maskspace.targets import Targets

GUIDES = ((3.0, 0.0, 0.2), (0.0, -5.0, 0.7))


@pytest.fixture
def labels():
    labels = torch.randint(-1, 4, (2, 6, 7), generator=torch.Generator().manual_seed(0))
    labels[1, :3] = 2
    return labels


def test_targets_equal_the_loop_over_instances(labels):
    target = guide_targets(labels, GUIDES)
    for image, k in ((i, k) for i in range(2) for k in (1, 2, 3)):
        rows, columns = torch.nonzero(labels[image] == k, as_tuple=True)
        for channel, (a, b, phase) in enumerate(GUIDES):
            angle = a * columns / 6 + b * rows / 5 + phase
            found = target[image, channel, rows, columns]
            torch.testing.assert_close(found, angle.sin().mean().expand_as(found))


@pytest.mark.parametrize("weighting", ["logarithm", "cube_root", "size"])
@pytest.mark.parametrize("background", [True, False])
def test_regression_equals_the_loop_over_pixels(labels, weighting, background):
    torch.manual_seed(0)
    embedding, target = torch.randn(2, 3, 6, 7), torch.randn(2, 3, 6, 7)
    images = []
    for x, t, y in zip(embedding, target, labels, strict=True):
        costs = []
        for row, column in torch.nonzero(y >= (0 if background else 1)).tolist():
            n = (y == y[row, column]).sum().item()
            weight = {"logarithm": 1 / math.log(max(n, 2)), "cube_root": n ** (-1 / 3)}
            w = 7 * weight.get(weighting, 1 / n)
            costs.append(w * (x - t)[:, row, column].abs().mean())
        images.append(torch.stack(costs).mean())
    value = regression(
        embedding, target, labels, background=background, weighting=weighting, gain=7.0
    )
    torch.testing.assert_close(value["regression"], torch.stack(images).mean())


def test_the_boundary_is_the_part_of_pixels_near_it():
    labels = torch.ones(1, 4, 12, dtype=torch.long)
    labels[..., 6:] = 2
    near = near_boundary(labels)[0]
    assert near[:, 3:9].all()
    assert near.sum() == 4 * 6
    error = torch.zeros(1, 1, 4, 12)
    error[..., 0] = 1.0
    options = {"background": True, "boundary_weight": 10.0}
    terms = regression(error, torch.zeros_like(error), labels, **options)
    assert terms["regression"] > 0
    assert terms["boundary"] == 0
    error = error.roll(4, dims=3)
    terms = regression(error, torch.zeros_like(error), labels, **options)
    torch.testing.assert_close(terms["boundary"], 10 * terms["regression"])


def test_the_exact_targets_cost_nothing_and_shuffled_ones_something(labels):
    target = guide_targets(grouped(labels, background=True), GUIDES)
    assert regression(target, target, labels)["regression"] == 0
    assert regression(target.roll(1, dims=3), target, labels)["regression"] > 0.1


def test_gradients_are_those_of_finite_differences(labels):
    torch.manual_seed(0)
    labels = labels[:, 1:4, :4]
    target = guide_targets(grouped(labels, background=True), GUIDES)
    embedding = torch.randn(2, 2, 3, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: regression(x, target, labels, boundary_weight=2.0)["regression"], embedding
    )


def test_a_constant_output_is_drawn_to_the_targets_unless_it_is_their_median():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    target = torch.tensor([-0.5, -0.5, 0.5, 0.5]).view(1, 1, 1, 4)
    embedding = torch.zeros(1, 1, 1, 4, requires_grad=True)
    value = regression(embedding, target, labels, gain=1.0)["regression"]
    value.backward()
    assert value.item() == pytest.approx(0.5 / math.log(2))
    assert embedding.grad is not None
    each = 1 / math.log(2) / 4
    # each pixel is drawn to its own, and only what is shared by all, a bias, is not
    torch.testing.assert_close(embedding.grad[0, 0, 0], torch.tensor([each, each, -each, -each]))


def test_coordinates_are_zero_and_one_at_the_ends_and_x_comes_first():
    x, y = unit_coordinates(torch.zeros(1, 3, 5, dtype=torch.long))
    assert x[0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert y[:, 0].tolist() == [0, 0.5, 1]
    assert unit_coordinates(torch.zeros(1, 1, 1, dtype=torch.long)).isfinite().all()


def test_random_guides_are_of_one_axis_and_of_their_seed():
    guides = random_guides(12, spread=40.0, seed=3)
    assert guides == random_guides(12, spread=40.0, seed=3) != random_guides(12, seed=4)
    assert all(b == 0 and a != 0 for a, b, _ in guides[:6])
    assert all(a == 0 and b != 0 for a, b, _ in guides[6:])
    assert all(abs(a + b) <= 20 and 0 <= phase <= 1 for a, b, phase in guides)


def test_fitted_guides_tell_all_instances_apart_and_ignore_the_background():
    # two instances beside each other, one of them the last: what the authors' fit leaves out
    labels = torch.zeros(2, 8, 24, dtype=torch.long)
    labels[:, 2:6, 8:11], labels[:, 2:6, 12:15] = 1, 2
    start = torch.tensor(random_guides(4, spread=2.0))
    fitted = fit_guides(labels, number=4, spread=2.0, steps=100)
    assert crowding(guide_means(labels, start), 0.5) > 0.2
    assert crowding(guide_means(labels, torch.tensor(fitted)), 0.5) < 0.05
    assert all(b == 0 for _, b, _ in fitted[:2])
    only = (labels == 1).long()
    alone = fit_guides(only, number=4, spread=2.0, steps=2)
    torch.testing.assert_close(torch.tensor(alone), start)


def test_given_guides_set_the_channels(labels):
    objective = OBJECTIVES["harmonic"](guides=GUIDES, background=False, foreground=0.0)
    assert {name: head.channels for name, head in objective.heads.items()} == {"1": 2}
    target = guide_targets(labels.clamp(min=0), GUIDES)
    assert objective.terms({"1": target}, Targets.of_labels(labels))["regression"] == 0
