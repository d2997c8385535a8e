from itertools import product

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.triplet import pixel_terms, prototype_terms
from maskspace.targets import Targets


def groups(x, y):
    return [x[:, y == k].T for k in sorted(set(y.flatten().tolist()) - {0, -1})]


def test_prototypes_equal_the_loop_over_pixels():
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 3, 6, 7), torch.randint(-1, 4, (2, 6, 7))
    images = []
    for x, y in zip(embedding, labels, strict=True):
        means = [pixels.mean(0) for pixels in groups(x, y)]
        costs = []
        for k, pixels in enumerate(groups(x, y)):
            near = (pixels - means[k]).norm(dim=1)
            foreign = torch.stack([(pixels - m).norm(dim=1) for i, m in enumerate(means) if i != k])
            costs.append((near - foreign.min(0).values + 0.3).clamp(min=0).mean())
        images.append(torch.stack(costs).mean())
    value = prototype_terms(embedding, labels, margin=0.3)["triplet"]
    torch.testing.assert_close(value, torch.stack(images).mean(), atol=1e-5, rtol=1e-4)


def test_drawn_triplets_are_on_average_all_triplets():
    torch.manual_seed(0)
    embedding = torch.rand(1, 2, 3, 4)
    labels = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2], [5, 5, 5, 5]]])
    pixels = groups(embedding[0], labels[0])
    costs = []
    for k, own in enumerate(pixels):
        others = [i for i in range(3) if i != k]
        each = [
            ((own[p] - own[q]).norm() - (own[p] - r).norm() + 0.3).clamp(min=0)
            for p, q in product(range(4), range(4))
            if p != q
            for i in others
            for r in pixels[i]
        ]
        costs.append(torch.stack(each).mean())
    # four samples of four pixels are all of them
    drawn = [pixel_terms(embedding, labels, margin=0.3, samples=4)["triplet"] for _ in range(2000)]
    torch.testing.assert_close(
        torch.stack(drawn).mean(), torch.stack(costs).mean(), atol=5e-3, rtol=0
    )


@pytest.mark.parametrize("terms", [prototype_terms, pixel_terms])
def test_a_constant_output_costs_the_margin_and_is_stationary(terms):
    labels = torch.tensor([[[1, 1, 2, 2, 3]]])
    embedding = torch.full((1, 2, 1, 5), 0.3, dtype=torch.float64, requires_grad=True)
    value = terms(embedding, labels, margin=0.2)["triplet"]
    value.backward()
    assert value.item() == pytest.approx(0.2, abs=1e-5)
    assert embedding.grad is not None
    assert embedding.grad.abs().max() < 1e-8


@pytest.mark.parametrize("terms", [prototype_terms, pixel_terms])
def test_instances_in_points_further_apart_than_the_margin_cost_nothing(terms):
    labels = torch.tensor([[[1, 1, 2, 2, 0]]])
    embedding = torch.tensor([0.0, 0.0, 0.4, 0.4, 0.2]).view(1, 1, 1, 5)
    assert terms(embedding, labels, margin=0.3)["triplet"] == 0
    assert terms(embedding, labels, margin=0.5)["triplet"] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("terms", [prototype_terms, pixel_terms])
def test_an_only_instance_costs_nothing(terms):
    assert terms(torch.rand(1, 2, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))["triplet"] == 0


def test_gradients_of_drawn_triplets_are_those_of_finite_differences():
    labels = torch.tensor([[[1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3]]])
    embedding = torch.rand(1, 2, 2, 6, dtype=torch.float64).requires_grad_()

    def value(x):
        torch.manual_seed(0)
        return pixel_terms(x, labels, samples=3)["triplet"]

    assert torch.autograd.gradcheck(value, embedding)


def test_both_forms_are_options():
    labels = torch.tensor([[[1, 1, 2, 2], [1, 1, 2, 2]]])
    outputs = {"1": torch.full((1, 3, 2, 4), 0.5)}
    for against in ("pixel", "prototype"):
        objective = OBJECTIVES["triplet"](against=against, level_weights={"1": 1.0})
        assert objective.terms(outputs, Targets.of_labels(labels))["triplet/1"] == pytest.approx(
            0.3, abs=1e-5
        )
        assert objective.is_colours
