import math

import pytest
import torch
from torch.nn import functional as F

from maskspace.objectives.instance_softmax import instance_softmax, softmax_terms


@pytest.mark.parametrize("measure", ["distance", "cosine"])
def test_value_equals_the_loop_over_pixels(measure):
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 3, 6, 7), torch.randint(0, 4, (2, 6, 7))
    expected = []
    for x, y in zip(embedding, labels, strict=True):
        present = sorted(set(y.flatten().tolist()) - {0})
        x = F.normalize(x, dim=0) if measure == "cosine" else x
        means = torch.stack([x[:, y == k].mean(1) for k in present])
        costs = []
        for index, k in enumerate(present):
            pixels = x[:, y == k].T
            if measure == "cosine":
                logits = F.cosine_similarity(pixels[:, None], means, dim=-1) / 0.2**2
            else:
                logits = -((pixels[:, None] - means) ** 2).sum(-1) / (2 * 0.2**2)
            costs.append(-logits.log_softmax(-1)[:, index].mean())
        expected.append(torch.stack(costs).mean())
    value = softmax_terms(embedding, labels, bandwidth=0.2, measure=measure)["separation"]
    torch.testing.assert_close(value, torch.stack(expected).mean(), atol=1e-5, rtol=1e-4)


def test_a_constant_output_costs_the_logarithm_of_the_number_of_instances():
    labels = torch.tensor([[[1, 1, 2, 3, 0]]])
    value = softmax_terms(torch.full((1, 2, 1, 5), 0.3), labels)["separation"]
    assert value == pytest.approx(math.log(3), abs=1e-5)


def test_an_image_without_instances_takes_no_part():
    embedding = torch.rand(2, 2, 1, 4)
    labels = torch.tensor([[[1, 1, 2, 2]], [[0, 0, 0, 0]]])
    both = softmax_terms(embedding, labels)["separation"]
    torch.testing.assert_close(both, softmax_terms(embedding[:1], labels[:1])["separation"])


@pytest.mark.parametrize("measure", ["distance", "cosine"])
def test_gradient_in_double_precision(measure):
    torch.manual_seed(0)
    embedding = torch.randn(2, 3, 4, 5, dtype=torch.double, requires_grad=True)
    labels = torch.randint(-1, 4, (2, 4, 5))
    assert torch.autograd.gradcheck(
        lambda x: softmax_terms(x, labels, bandwidth=0.7, measure=measure)["separation"], embedding
    )


def test_by_cosine_lengths_do_not_matter():
    torch.manual_seed(0)
    embedding, labels = torch.randn(1, 3, 4, 5), torch.randint(0, 4, (1, 4, 5))
    longer = embedding * (1 + torch.rand(1, 1, 4, 5))
    torch.testing.assert_close(
        softmax_terms(embedding, labels, measure="cosine"),
        softmax_terms(longer, labels, measure="cosine"),
    )


def test_by_cosine_the_levels_are_unit_vectors_and_not_colours():
    objective = instance_softmax(measure="cosine", level_weights={"2": 1.0})
    assert objective.heads["2"].activation == "unit"
    assert not objective.is_colours


def test_pixels_taken_in_parts_give_the_value_and_the_gradient_of_all_at_once():
    torch.manual_seed(0)
    embedding, labels = torch.randn(2, 3, 6, 7), torch.randint(-1, 4, (2, 6, 7))
    found = []
    for chunk in (2**22, 30):
        x = embedding.clone().requires_grad_()
        value = softmax_terms(x, labels, chunk=chunk)["separation"]
        value.backward()
        found.append((value.detach(), x.grad))
    torch.testing.assert_close(*found)
