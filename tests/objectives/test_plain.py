import json

import pytest
import torch

from maskspace.objectives.plain import plain_terms


def naive(embedding, labels):
    """The two terms, instance by instance."""
    pulls, pushes = [], []
    for x, y in zip(embedding, labels, strict=True):
        pull, push = [], []
        for k in sorted(set(y.flatten().tolist()) - {0, -1}):
            distance = (x - x[:, y == k].mean(1)[:, None, None]).norm(dim=0)
            pull.append(distance[y == k].mean())
            push.append(-distance[y != k].mean())
        pulls.append(torch.stack(pull).mean())
        pushes.append(torch.stack(push).mean())
    return torch.stack(pulls).mean(), torch.stack(pushes).mean()


def test_terms_equal_the_loop_over_instances():
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 3, 6, 7), torch.randint(-1, 4, (2, 6, 7))
    terms = plain_terms(embedding, labels, pull_weight=2.0)
    pull, push = naive(embedding, labels)
    torch.testing.assert_close(terms["pull"], 2 * pull)
    torch.testing.assert_close(terms["push"], push)


def test_values_are_those_of_the_recorded_case(vectors):
    case = json.loads((vectors / "embedding_vectors.json").read_text())
    case = case["bonus_16_pixel_to_mean_balls"]
    embedding = torch.tensor(case["embeddings"], dtype=torch.float64).T[None, :, None]
    terms = plain_terms(embedding, torch.tensor(case["labels"])[None, None])
    expected = case["expected"]["no_hinge"]
    assert float(terms["pull"]) == pytest.approx(expected["L_A"], abs=1e-6)
    assert float(terms["push"]) == pytest.approx(expected["L_R"], abs=1e-6)


def test_a_constant_output_costs_nothing_and_is_stationary():
    labels = torch.tensor([[[1, 1, 2, 2, 0]]])
    embedding = torch.full((1, 3, 1, 5), 0.5, dtype=torch.float64, requires_grad=True)
    terms = plain_terms(embedding, labels)
    torch.stack(list(terms.values())).sum().backward()
    assert all(value.abs() < 1e-5 for value in terms.values())
    assert embedding.grad is not None
    assert embedding.grad.abs().max() < 1e-8


def test_an_instance_that_is_the_whole_image_is_not_pushed():
    terms = plain_terms(torch.rand(1, 3, 2, 2), torch.ones(1, 2, 2, dtype=torch.long))
    assert terms["push"] == 0
