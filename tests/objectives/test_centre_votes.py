import math

import pytest
import torch

from maskspace.objectives.centre_votes import centre_votes, vote_terms
from maskspace.objectives.centres import mean_pixels, towards


@pytest.fixture
def labels():
    labels = torch.zeros(1, 9, 12, dtype=torch.long)
    labels[:, :5, :5], labels[:, 2:8, 6:11], labels[:, 8] = 1, 2, -1
    return labels


def random_outputs(batch=1):
    torch.manual_seed(0)
    direction = torch.randn(batch, 2, 9, 12, dtype=torch.double)
    return {
        "direction": torch.nn.functional.normalize(direction, dim=1),
        "foreground": torch.randn(batch, 1, 9, 12, dtype=torch.double),
    }


def test_terms_equal_the_loop_over_pixels(labels):
    outputs = random_outputs()
    u, costs = outputs["direction"][0], []
    for k in (1, 2):
        points = (labels[0] == k).nonzero()
        centre = points.double().mean(0)
        own = []
        for point in points:
            v = (centre - point).flip(0)
            if v.norm() > 0:
                own.append((1 - u[:, point[0], point[1]] @ (v / v.norm())) / 2)
        costs.append(torch.stack(own).mean())
    terms = vote_terms(outputs, labels)
    torch.testing.assert_close(terms["direction"], torch.stack(costs).mean())
    rest = (1 - u[1][labels[0] == 0]) / 2
    torch.testing.assert_close(terms["background"], 0.1 * rest.mean())
    p = outputs["foreground"][0, 0].sigmoid()
    expected = -(p[labels[0] > 0].log().mean() + (1 - p[labels[0] == 0]).log().mean()) / 2
    torch.testing.assert_close(terms["foreground"], expected)


def perfect(labels):
    unit = towards(labels, mean_pixels(labels))
    unit[:, 1] = torch.where(labels == 0, 1.0, unit[:, 1])
    return {"direction": unit, "foreground": torch.where(labels > 0, 30.0, -30.0)[:, None]}


def test_true_directions_cost_nothing_and_shuffled_ones_more(labels):
    outputs = perfect(labels)
    assert sum(vote_terms(outputs, labels).values()) < 1e-6
    order = torch.randperm(108, generator=torch.Generator().manual_seed(0))
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in outputs.items()}
    assert vote_terms(shuffled, labels)["direction"] > 0.3


def test_a_constant_output_costs_one_half_and_is_not_stationary(labels):
    unit = torch.tensor([0.6, 0.8]).view(1, 2, 1, 1).expand(1, 2, 9, 12).clone().requires_grad_()
    outputs = {"direction": unit, "foreground": torch.zeros(1, 1, 9, 12)}
    terms = vote_terms(outputs, labels)
    assert terms["direction"].item() == pytest.approx(0.5)
    assert terms["foreground"].item() == pytest.approx(math.log(2))
    (gradient,) = torch.autograd.grad(terms["direction"], unit)
    assert gradient.abs().max() > 1e-3


def test_gradients_are_those_of_finite_differences(labels):
    outputs = {h: x.requires_grad_() for h, x in random_outputs().items()}

    def value(*given):
        return torch.stack(
            list(vote_terms(dict(zip(outputs, given, strict=True)), labels).values())
        )

    assert torch.autograd.gradcheck(value, tuple(outputs.values()), fast_mode=True)


def test_names_do_not_matter_and_a_batch_is_the_mean_of_its_images(labels):
    outputs = random_outputs(2)
    renamed = torch.tensor([0, 7, 3, -1])[labels]
    both = vote_terms(outputs, torch.cat([renamed, labels.flip(2)]))
    singles = [
        vote_terms({h: x[:1] for h, x in outputs.items()}, labels),
        vote_terms({h: x[1:] for h, x in outputs.items()}, labels.flip(2)),
    ]
    for name, value in both.items():
        torch.testing.assert_close(value, (singles[0][name] + singles[1][name]) / 2)


def test_an_image_of_centres_alone_costs_nothing():
    labels = torch.zeros(1, 9, 12, dtype=torch.long)
    labels[:, 4, 4] = 1
    assert vote_terms(random_outputs(), labels)["direction"] == 0


def test_without_its_weight_there_is_no_foreground():
    assert set(centre_votes(foreground=0.0).heads) == {"direction"}
