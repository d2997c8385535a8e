import json

import pytest
import torch
from torch.nn import functional as F

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.recurrent_grouping import blur, cosine_hinge, grouping_terms


def recorded(vectors):
    case = json.loads((vectors / "embedding_vectors.json").read_text())["bonus_4_cosine_hinge"]
    points = torch.tensor(case["embeddings_unnormalised"], dtype=torch.float64)
    return F.normalize(points, dim=1)[None], torch.tensor(case["labels"])[None], case


def test_the_hinge_is_the_recorded_one(vectors):
    points, labels, case = recorded(vectors)
    value = sum(cosine_hinge(points, labels, alpha=case["alpha"]))
    assert value.item() == pytest.approx(case["expected"]["loss"], abs=1e-6)


def test_a_step_of_mean_shift_is_the_recorded_one(vectors):
    points, _, case = recorded(vectors)
    expected = torch.tensor(case["vmf_blurring_step_beta9_eta1"], dtype=torch.float64)
    torch.testing.assert_close(blur(points, bandwidth=1 / 3)[0], expected, atol=1e-6, rtol=0)


def naive(points, labels, alpha):
    """The hinge of one image, pair by pair."""
    number = [sum(other == own for other in labels) for own in labels]
    pull = push = total = 0.0
    for x, one, n in zip(points, labels, number, strict=True):
        for y, other, m in zip(points, labels, number, strict=True):
            s, w = (1 + x @ y) / 2, 1 / (n * m)
            total += w
            if one == other:
                pull += w * (1 - s)
            else:
                push += w * (s - alpha).clamp(min=0)
    return pull / total, push / total


def test_terms_equal_the_loop_over_pairs_and_loops():
    torch.manual_seed(0)
    embedding = torch.randn(2, 3, 3, 4, dtype=torch.float64)
    labels = torch.randint(0, 3, (2, 3, 4))
    terms = grouping_terms(
        embedding, labels, alpha=0.2, push_weight=5.0, bandwidth=0.5, loops=2, samples=12
    )
    pull, push = [], []
    for x, y in zip(embedding, labels, strict=True):
        points = F.normalize(x.flatten(1).T, dim=1)
        for _ in range(3):
            found = naive(points, y.flatten().tolist(), 0.2)
            pull.append(found[0])
            push.append(found[1])
            kernel = (points @ points.T / 0.5**2).exp()
            points = F.normalize((kernel / kernel.sum(0)).T @ points, dim=1)
    torch.testing.assert_close(terms["pull"], torch.stack(pull).sum() / 2)
    torch.testing.assert_close(terms["push"], 5 * torch.stack(push).sum() / 2)


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    embedding = torch.randn(1, 2, 2, 3, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([[[1, 1, 2], [2, 0, -1]]])

    def value(x):
        torch.manual_seed(0)
        terms = grouping_terms(x, labels, alpha=0.1, bandwidth=0.5, loops=3, samples=6)
        return sum(terms.values())

    assert torch.autograd.gradcheck(value, embedding)


def test_orthogonal_points_cost_nothing_and_shuffled_ones_something():
    labels = torch.tensor([[[0, 0, 1, 1, 2, 2]]])
    points = F.one_hot(labels, 3).permute(0, 3, 1, 2).float()
    assert sum(grouping_terms(points, labels, samples=6).values()) < 1e-5
    rolled = points.roll(1, dims=3)
    assert sum(grouping_terms(rolled, labels, samples=6).values()) > 0.5


def test_a_constant_output_pays_the_share_of_foreign_pairs_and_is_stationary():
    labels = torch.tensor([[[1, 1, 2, 2, 2, 0]]])
    embedding = torch.zeros(1, 3, 1, 6, dtype=torch.float64)
    embedding[:, 0] = 1
    embedding.requires_grad_()
    terms = grouping_terms(embedding, labels, alpha=0.5, loops=5, samples=6)
    sum(terms.values()).backward()
    assert terms["pull"].item() == pytest.approx(0, abs=1e-12)
    assert terms["push"].item() == pytest.approx(6 * 0.5 * 2 / 3)
    assert embedding.grad.abs().max() < 1e-12
    moved = embedding.detach().clone()
    moved[0, 1] = torch.tensor([0.01, 0.01, 0, 0, 0, 0])
    moved.requires_grad_()
    grouping_terms(moved, labels, loops=0, samples=6)["push"].backward()
    # a foreign pair pushes by half of the step: of W 1/9, both ways, to two pixels of one label
    assert moved.grad[0, 1, 0, 0].item() == pytest.approx(-2 / 9 * 0.5 * 0.01, rel=1e-3)


def test_unknown_pixels_are_not_drawn():
    torch.manual_seed(0)
    labels = torch.tensor([[[1, 1, 2, 2, -1, -1]]])
    embedding = torch.randn(1, 3, 1, 6)
    changed = embedding.clone()
    changed[..., 4:] += 5
    values = []
    for x in (embedding, changed):
        torch.manual_seed(0)
        values.append(sum(grouping_terms(x, labels, samples=4).values()))
    assert values[0] == values[1]


def test_the_bandwidth_is_tied_to_alpha_unless_given():
    tied, given = (OBJECTIVES["recurrent_grouping"](alpha=0.1, bandwidth=b) for b in (None, 0.1))
    assert tied.decoder.options == {
        "bandwidth": pytest.approx(0.3),
        "kernel": "von_mises_fisher",
    }
    assert given.decoder.options["bandwidth"] == 0.1
