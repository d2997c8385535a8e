import json

import pytest
import torch

from maskspace.objectives.balls import ball_terms


def naive(embedding, labels, radius, ratio):
    """The two terms, pixel by pixel."""
    pulls, pushes = [], []
    for x, y in zip(embedding, labels, strict=True):
        pull, push = [], []
        for k in sorted(set(y.flatten().tolist()) - {0}):
            mean = x[:, y == k].mean(1)
            distance = ((x - mean[:, None, None]) ** 2).sum(0).sqrt()
            pull.append((distance[y == k] - radius).clamp(min=0).mean())
            outside = distance[y != k]
            push.append((ratio * radius - outside).clamp(min=0).sum() / max(1, outside.numel()))
        pulls.append(torch.stack(pull).mean())
        pushes.append(torch.stack(push).mean())
    return torch.stack(pulls).mean(), torch.stack(pushes).mean()


@pytest.mark.parametrize("ratio", [2.0, 3.0])
def test_terms_equal_the_loop_over_pixels(ratio):
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 3, 6, 7), torch.randint(0, 4, (2, 6, 7))
    terms = ball_terms(embedding, labels, radius=0.15, push_ratio=ratio)
    pull, push = naive(embedding, labels, 0.15, ratio)
    torch.testing.assert_close(terms["pull"], pull, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(terms["push"], push, atol=1e-5, rtol=1e-4)


def test_values_are_those_of_the_recorded_case(vectors):
    case = json.loads((vectors / "embedding_vectors.json").read_text())
    case = case["bonus_16_pixel_to_mean_balls"]
    embedding = torch.tensor(case["embeddings"], dtype=torch.float64).T[None, :, None]
    terms = ball_terms(embedding, torch.tensor(case["labels"])[None, None], radius=0.5)
    assert float(terms["pull"]) == pytest.approx(case["expected"]["hinge"]["L_A"], abs=1e-6)
    assert float(terms["push"]) == pytest.approx(case["expected"]["hinge"]["L_R"], abs=1e-6)


def test_separated_balls_cost_nothing():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    embedding = torch.tensor([0.0, 0.02, 0.9, 0.92]).view(1, 1, 1, 4)
    assert all(value == 0 for value in ball_terms(embedding, labels).values())


def test_a_constant_output_has_no_pull_and_a_full_push():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    terms = ball_terms(torch.full((1, 3, 1, 4), 0.5), labels, radius=0.1, push_ratio=3.0)
    assert terms["pull"] == 0
    assert terms["push"] == pytest.approx(0.3, abs=1e-3)


def test_an_instance_that_is_the_whole_image_is_not_pushed():
    embedding = 0.5 + 0.005 * torch.randn(1, 3, 200, 200)
    assert ball_terms(embedding, torch.ones(1, 200, 200, dtype=torch.long))["push"] == 0
