import json

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.discriminative import discriminative_terms
from maskspace.targets import Targets

CASES = range(5)


def case_of(vectors, index):
    """A recorded case as an image of one row, and what it should cost."""
    recorded = json.loads((vectors / "embedding_vectors.json").read_text())
    case = recorded["1_discriminative"]["cases"][index]
    embedding = torch.tensor(case["embeddings"], dtype=torch.float64).T[None, :, None]
    return embedding, torch.tensor(case["labels"])[None, None], case["expected"]


def close(value, expected):
    return value.item() == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("index", CASES)
def test_the_papers_convention_gives_the_recorded_values(vectors, index):
    embedding, labels, expected = case_of(vectors, index)
    terms = discriminative_terms(embedding, labels)
    assert close(terms["pull"], expected["L_var"])
    assert close(terms["push"], expected["L_dist"])
    assert close(terms["norm"], expected["L_reg"])
    assert close(terms["pull"] + terms["push"] + 0.001 * terms["norm"], expected["total"])


@pytest.mark.parametrize("index", CASES)
def test_the_authors_convention_gives_the_recorded_values(vectors, index):
    embedding, labels, expected = case_of(vectors, index)
    terms = discriminative_terms(embedding, labels, convention="authors")
    expected = expected["variant_official_lua"]
    assert close(terms["pull"], expected["L_var"])
    assert close(terms["push"], expected["L_dist"])
    assert close(torch.stack(list(terms.values())).sum(), expected["total"])


@pytest.mark.parametrize("index", CASES)
def test_the_convention_of_pixels_gives_the_recorded_values(vectors, index):
    embedding, labels, expected = case_of(vectors, index)
    terms = discriminative_terms(embedding, labels, convention="pixels")
    assert close(terms["pull"], expected["variant_pooled_pixels"]["L_var"])
    assert close(terms["push"], expected["L_dist"])


def naive(x, y, background):
    """The terms of one image, pair by pair."""
    groups = [x[:, y == k].T for k in sorted(set(y.flatten().tolist()) - {0, -1})]
    means = [pixels.mean(0) for pixels in groups]
    pull = [
        ((g - m).norm(dim=1) - 0.5).clamp(min=0).square().mean()
        for g, m in zip(groups, means, strict=True)
    ]
    push = [
        (3 - (a - b).norm()).clamp(min=0).square()
        for i, a in enumerate(means)
        for j, b in enumerate(means)
        if i != j
    ]
    terms = {
        "pull": torch.stack(pull).mean(),
        "push": torch.stack(push).mean() if push else torch.zeros(()),
        "norm": torch.stack([m.norm() for m in means]).mean(),
    }
    if background:
        outside = x[:, y == 0].T
        inside = [(1.5 - (outside - m).norm(dim=1)).clamp(min=0).square().mean() for m in means]
        terms["background"] = torch.stack(inside).mean()
    return terms


@pytest.mark.parametrize("background", [False, True])
def test_terms_equal_the_loop_over_pairs(background):
    torch.manual_seed(0)
    embedding, labels = torch.randn(2, 3, 6, 7), torch.randint(-1, 4, (2, 6, 7))
    labels[1][labels[1] > 1] = 1  # an only instance has nothing to be pushed from
    terms = discriminative_terms(embedding, labels, background=background)
    images = [naive(x, y, background) for x, y in zip(embedding, labels, strict=True)]
    assert terms.keys() == images[0].keys()
    for name, value in terms.items():
        torch.testing.assert_close(value, torch.stack([i[name] for i in images]).mean())


@pytest.mark.parametrize("convention", ["paper", "authors", "pixels"])
def test_gradients_are_those_of_finite_differences(convention):
    torch.manual_seed(0)
    labels = torch.tensor([[[0, 1, 1], [2, 2, 1]], [[0, 0, 3], [-1, 3, 3]]])
    embedding = torch.randn(2, 2, 2, 3, dtype=torch.float64).requires_grad_()

    def value(x):
        terms = discriminative_terms(x, labels, background=True, convention=convention)
        return torch.stack(list(terms.values())).sum()

    assert torch.autograd.gradcheck(value, embedding)


def test_a_constant_output_is_stationary_and_a_hundredth_off_it_is_pushed():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    constant = torch.full((1, 2, 1, 4), 0.4, dtype=torch.float64, requires_grad=True)
    terms = discriminative_terms(constant, labels)
    terms["push"].backward()
    assert close(terms["push"], 9.0)
    assert constant.grad is not None
    assert constant.grad.abs().max() < 1e-8
    apart = constant.detach() + 0.01 * torch.tensor([[1.0, 1.0, -1.0, -1.0], [0, 0, 0, 0]])[:, None]
    apart.requires_grad_()
    discriminative_terms(apart, labels)["push"].backward()
    # 2 (3 - distance) for each mean, of two pixels each
    expected = torch.tensor([[-2.98, -2.98, 2.98, 2.98], [0, 0, 0, 0]]).double()[None, :, None]
    torch.testing.assert_close(apart.grad, expected)


def test_separated_points_cost_only_their_norm():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    embedding = torch.tensor([[0.0, 0.0, 3.1, 3.1]])[None, :, None]
    terms = discriminative_terms(embedding, labels)
    assert terms["pull"] == terms["push"] == 0
    assert terms["norm"] > 0


def test_the_objective_weighs_its_terms_and_declares_its_heads():
    torch.manual_seed(0)
    labels = torch.randint(0, 3, (2, 8, 8))
    objective = OBJECTIVES["discriminative"](
        pull_weight=2.0, push_weight=3.0, norm_weight=4.0, background_push=5.0, stride=2
    )
    outputs = {"2": torch.randn(2, 8, 4, 4), "foreground": torch.randn(2, 1, 4, 4)}
    found = objective.terms(outputs, Targets.of_labels(labels))
    assert set(found) == {"pull", "push", "norm", "background", "foreground"}
    assert {name: head.stride for name, head in objective.heads.items()} == {
        "2": 2,
        "foreground": 2,
    }
    bare = OBJECTIVES["discriminative"](foreground=0.0)
    assert set(bare.heads) == {"1"}
    assert set(bare.terms({"1": torch.randn(2, 8, 8, 8)}, Targets.of_labels(labels))) == {
        "pull",
        "push",
        "norm",
    }
    assert bare.decoder.options == {"bandwidth": 1.5, "kernel": "flat"}
