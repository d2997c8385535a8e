import math

import pytest
import torch

from maskspace.objectives.instance_softmax import softmax_terms


def test_value_equals_the_loop_over_pixels():
    torch.manual_seed(0)
    embedding, labels = torch.rand(2, 3, 6, 7), torch.randint(0, 4, (2, 6, 7))
    expected = []
    for x, y in zip(embedding, labels, strict=True):
        present = sorted(set(y.flatten().tolist()) - {0})
        means = torch.stack([x[:, y == k].mean(1) for k in present])
        costs = []
        for index, k in enumerate(present):
            pixels = x[:, y == k].T
            logits = -((pixels[:, None] - means) ** 2).sum(-1) / (2 * 0.2**2)
            costs.append(-logits.log_softmax(-1)[:, index].mean())
        expected.append(torch.stack(costs).mean())
    value = softmax_terms(embedding, labels, bandwidth=0.2)["separation"]
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
