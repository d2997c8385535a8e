import math

import pytest
import torch
from torch.nn import functional as F

from maskspace.objectives.class_instance import class_instance, class_instance_terms
from maskspace.targets import Targets


def naive(embedding, labels, *, temperature, margin):
    """Both terms, a prototype and a pixel at a time; -1 is in no prototype."""
    similarity, triplet = [], []
    for x, y in zip(F.normalize(embedding, dim=1), labels, strict=True):
        if not (y > 0).any():
            continue
        present = sorted(set(y.flatten().tolist()) - {-1})
        prototypes = [F.normalize(x[:, y == k].mean(1), dim=0) for k in present]
        costs, hinges = [], []
        for own, k in enumerate(present):
            cosines = torch.stack([(x[:, y == k] * m[:, None]).sum(0) for m in prototypes])
            costs.append(-(cosines / temperature).log_softmax(0)[own].mean())
            others = cosines[[i for i in range(len(present)) if i != own]]
            hinges.append((margin + others.amax(0) - cosines[own]).clamp(min=0).mean())
        similarity.append(torch.stack(costs).mean())
        triplet.append(torch.stack(hinges).mean())
    return torch.stack(similarity).mean(), torch.stack(triplet).mean()


@pytest.fixture
def labels():
    return (
        torch.randint(-1, 4, (3, 6, 7), generator=torch.Generator().manual_seed(0))
        * (
            torch.tensor([1, 1, 0])[:, None, None]  # the last image is all background
        )
    )


def test_terms_equal_the_loop_over_prototypes(labels):
    embedding = torch.randn(3, 4, 6, 7, generator=torch.Generator().manual_seed(1)).double()
    terms = class_instance_terms(embedding, labels, temperature=0.2, triplet=0.5, margin=0.3)
    similarity, triplet = naive(embedding, labels, temperature=0.2, margin=0.3)
    torch.testing.assert_close(terms, {"similarity": similarity, "triplet": 0.5 * triplet})


def test_gradient_in_double_precision(labels):
    embedding = torch.randn(2, 3, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    corner = labels[::2, :3, :4]
    assert len(corner.unique()) > 3
    assert torch.autograd.gradcheck(
        lambda x: tuple(class_instance_terms(x, corner, triplet=1.0).values()),
        embedding.requires_grad_(),
    )


def test_the_background_is_one_more_prototype(labels):
    """Where it looks like an instance it costs, and unknown pixels cost nothing."""
    embedding = torch.eye(5)[labels.clamp(min=0)].permute(0, 3, 1, 2)
    apart = class_instance_terms(embedding, labels)["similarity"]
    embedding = torch.eye(5)[torch.where(labels < 0, 4, labels.clamp(min=1))].permute(0, 3, 1, 2)
    assert class_instance_terms(embedding, labels)["similarity"] > apart + 0.1


def test_separated_directions_cost_less_than_shuffled_and_no_triplet():
    labels = torch.tensor([[[0, 0, 1, 1, 2, 2, 3]]])
    good = torch.eye(4)[labels].permute(0, 3, 1, 2)
    terms = class_instance_terms(good, labels, triplet=1.0)
    shuffled = class_instance_terms(good[..., [3, 1, 4, 6, 0, 5, 2]], labels, triplet=1.0)
    assert terms["similarity"] == pytest.approx(math.log(1 + 3 * math.exp(-10)), abs=1e-5)
    assert terms["triplet"] == 0
    assert all(terms[name] < shuffled[name] for name in terms)


def test_a_constant_output_costs_the_logarithm_of_the_number_of_prototypes():
    labels = torch.tensor([[[1, 1, 2, 3, 0]]])
    terms = class_instance_terms(torch.full((1, 2, 1, 5), 0.3), labels, triplet=1.0, margin=0.2)
    assert terms["similarity"] == pytest.approx(math.log(4), abs=1e-5)
    assert terms["triplet"] == pytest.approx(0.2, abs=1e-5)


def test_a_disturbed_constant_has_a_gradient():
    noise = torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(20).view(1, 4, 5) % 3
    embedding = (1 + 1e-2 * noise).requires_grad_()
    class_instance_terms(embedding, labels)["similarity"].backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().max() > 1e-4


def test_without_a_foreground_there_is_no_such_head():
    objective = class_instance(foreground=0.0)
    assert set(objective.heads) == {"1"}
    embedding = F.normalize(torch.randn(1, 8, 3, 3), dim=1)
    assert set(
        objective.terms({"1": embedding}, Targets.of_labels(torch.ones(1, 3, 3).long()))
    ) == {"similarity"}
