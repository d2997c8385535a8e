import math
from functools import partial

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.pixels import cost_of_others, instances
from maskspace.objectives.semi_convolutional import centre_terms, kernel_term, off_kernel
from maskspace.targets import Targets


def groups(x, y):
    return [x[:, y == k].T for k in sorted(set(y.flatten().tolist()) - {0, -1})]


def test_pull_is_the_mean_over_instances_and_push_over_pairs():
    torch.manual_seed(0)
    embedding, labels = torch.randn(2, 3, 6, 7), torch.randint(-1, 4, (2, 6, 7))
    pulls, pushes = [], []
    for x, y in zip(embedding, labels, strict=True):
        means = [g.mean(0) for g in groups(x, y)]
        own = zip(groups(x, y), means, strict=True)
        pulls.append(torch.stack([(g - m).norm(dim=1).mean() for g, m in own]).mean())
        pairs = [(a - b).norm() for i, a in enumerate(means) for b in means[:i]]
        pushes.append((3 - torch.stack(pairs)).clamp(min=0).square().mean())
    terms = centre_terms(embedding, labels)
    torch.testing.assert_close(terms["pull"], torch.stack(pulls).mean())
    torch.testing.assert_close(terms["push"], torch.stack(pushes).mean())


def test_the_kernel_is_a_mask_from_a_pixel_of_each_instance():
    torch.manual_seed(0)
    labels = torch.tensor([[[1, 1, 2, 2, 0, -1]]])
    # instances in points, so that any pixel of one is as good a seed
    place = torch.tensor([0.0, 0.0, 2.0, 2.0, 5.0, 77.0])
    embedding = torch.stack([place, place * 0]).view(1, 2, 1, 6).double()
    for log_scale in (0.0, 0.7):
        s, costs = math.exp(log_scale), []
        for seed, label in ((0.0, 1), (2.0, 2)):
            kernel = (-(place[:5] - seed).abs() / s).exp().double()
            own = labels[0, 0, :5] == label
            costs.append(-torch.where(own, kernel.log(), (1 - kernel).log()).mean())
        value = kernel_term(embedding, torch.full((1, 1, 1, 1), log_scale).double(), labels)
        torch.testing.assert_close(value, torch.stack(costs).mean(), atol=1e-5, rtol=0)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    labels = torch.tensor([[[0, 1, 1], [2, 2, -1]]])
    embedding = torch.randn(1, 3, 2, 3, dtype=torch.float64).requires_grad_()
    scale = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64).requires_grad_()

    def value(x, s):
        torch.manual_seed(0)
        # a seed's distance to itself has a kink
        return sum(centre_terms(x, labels).values()) + kernel_term(x, s, labels)

    assert torch.autograd.gradcheck(value, (embedding, scale))


def test_a_constant_output_is_stationary_and_a_hundredth_off_it_is_pushed():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    constant = torch.full((1, 2, 1, 4), 0.4, dtype=torch.float64, requires_grad=True)
    terms = centre_terms(constant, labels)
    sum(terms.values()).backward()
    assert terms["pull"].item() < 1e-5
    assert terms["push"].item() == pytest.approx(9, abs=1e-4)
    assert constant.grad.abs().max() < 1e-8
    scale = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    value = kernel_term(constant, scale, labels)
    # half of the pixels are off the seed's instance
    assert value.item() == pytest.approx(-0.5 * math.log(1e-6), rel=1e-4)
    apart = constant.detach() + 0.005 * torch.tensor([1.0, 1.0, -1.0, -1.0])
    apart.requires_grad_()
    centre_terms(apart, labels)["push"].backward()
    assert apart.grad[0, 0, 0, 0].item() < -2


def test_positions_alone_pull_pixels_to_their_centres_and_centres_cost_nothing():
    objective = OBJECTIVES["semi_convolutional"](kernel_weight=0.0, foreground=0.0)
    labels = torch.zeros(1, 8, 200, dtype=torch.long)
    labels[..., :8], labels[..., 190:198] = 1, 2
    x = (torch.arange(200) + 0.5).expand(8, -1)
    y = (torch.arange(8) + 0.5)[:, None].expand(-1, 200)
    place = torch.stack([x, y])[None] / objective.heads["1"].unit
    found = objective.terms({"1": place}, Targets.of_labels(labels))
    assert found["pull"] > 0.05
    assert found["push"] == 0
    centred = place.clone()
    for k in (1, 2):
        mask = labels[0] == k
        centred[0, :, mask] = place[0, :, mask].mean(1, keepdim=True)
    assert objective.terms({"1": centred}, Targets.of_labels(labels))["pull"] < 1e-4


def test_heads_are_declared_for_the_terms_that_are_asked():
    assert set(OBJECTIVES["semi_convolutional"]().heads) == {"1", "scale", "foreground"}
    bare = OBJECTIVES["semi_convolutional"](kernel_weight=0.0, foreground=0.0, push_weight=0.0)
    assert set(bare.heads) == {"1"}
    assert bare.heads["1"].position == "add"
    labels = torch.tensor([[[1, 1, 2, 2]]])
    assert bare.terms({"1": torch.zeros(1, 8, 1, 4)}, Targets.of_labels(labels))["push"] == 0


@pytest.mark.parametrize("scale", [1e-5, 1e-2, 1.0, 30.0])
def test_what_is_off_a_kernel_costs_its_logarithm_at_any_scale(scale):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (1, 30, 40), generator=generator)
    embedding = scale * torch.rand(1, 5, 30, 40, generator=generator)
    ours, theirs = (instances(embedding.to(t), labels) for t in (torch.float32, torch.float64))
    squared = (theirs.pixels[0, :, None] - theirs.means[0]).square().sum(-1).clamp(min=1e-12)
    own = torch.where(theirs.labelled[0], theirs.slot[0], -1)[:, None] == torch.arange(3)
    total = torch.where(own, 0, -(-(-squared.sqrt()).expm1()).log()).sum()
    found = cost_of_others(ours, partial(off_kernel, closest=1e-6), torch.ones(1, 3))
    torch.testing.assert_close(found.double(), total, rtol=1e-5, atol=1e-4)


def test_what_is_off_a_kernel_is_a_value_and_its_derivative():
    squared = torch.linspace(0.01, 9, 50, dtype=torch.double).view(1, 5, 10).requires_grad_()
    expected = -(1 - (-squared.sqrt().clamp(min=0.5)).exp()).log()
    values, slopes = off_kernel(squared.detach().clone(), closest=0.5)
    torch.testing.assert_close(values, expected.detach())
    torch.testing.assert_close(slopes, torch.autograd.grad(expected.sum(), squared)[0])
