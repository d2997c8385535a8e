import math

import pytest
import torch

from maskspace.objectives.instance_softmax import softmax_terms
from maskspace.objectives.offset_vectors import offset_terms, offset_vectors
from maskspace.partition.offset_read import embedding_of


def sampled(x, offset):
    """The map at every cell's offset, bilinear, a cell at a time."""
    _, height, width = x.shape
    found = torch.zeros_like(x)
    for i in range(height):
        for j in range(width):
            column = min(max(j + float(offset[0, i, j]) * width / 2, 0), width - 1)
            row = min(max(i + float(offset[1, i, j]) * height / 2, 0), height - 1)
            left, top = math.floor(column), math.floor(row)
            right, low = min(left + 1, width - 1), min(top + 1, height - 1)
            a, b = column - left, row - top
            found[:, i, j] = (1 - b) * ((1 - a) * x[:, top, left] + a * x[:, top, right]) + b * (
                (1 - a) * x[:, low, left] + a * x[:, low, right]
            )
    return found


def naive_confidence(offset, confidence, labels):
    images = []
    for o, f, y in zip(offset, confidence[:, 0], labels, strict=True):
        height, width = y.shape
        costs = []
        for i in range(height):
            for j in range(width):
                column = min(max(round(j + float(o[0, i, j]) * width / 2), 0), width - 1)
                row = min(max(round(i + float(o[1, i, j]) * height / 2), 0), height - 1)
                if y[i, j] >= 0 and y[row, column] >= 0:
                    right = f[i, j] if y[i, j] == y[row, column] else 1 - f[i, j]
                    costs.append(-right.log())
        if (y > 0).any():
            images.append(torch.stack(costs).mean())
    return torch.stack(images).mean()


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(3, 3, 5, 6, generator=generator).double()
    offset = torch.rand(3, 2, 5, 6, generator=generator).double() * 1.6 - 0.8
    confidence = torch.rand(3, 1, 5, 6, generator=generator).double()
    labels = torch.randint(-1, 4, (3, 5, 6), generator=generator)
    labels[2] = 0
    return embedding, offset, confidence, labels


def test_terms_equal_the_loop_over_cells(case):
    embedding, offset, confidence, labels = case
    terms = offset_terms(*case, bandwidth=0.7, confidence_weight=2.0)
    there = torch.stack([sampled(x, o) for x, o in zip(embedding, offset, strict=True)])
    fused = (1 - confidence) * embedding + confidence * there
    expected = {
        name: weight * softmax_terms(x, labels, bandwidth=0.7)["separation"]
        for name, weight, x in (
            ("own", 0.5, embedding),
            ("sampled", 0.5, there),
            ("fused", 1.0, fused),
        )
    }
    expected["confidence"] = 2 * naive_confidence(offset, confidence, labels)
    torch.testing.assert_close(terms, expected)


def test_gradient_in_double_precision(case):
    # a corner of the first image and of the one without an instance: gradcheck asks once a value
    *outputs, labels = (x[::2, ..., :3, :4] for x in case)
    assert len(labels.unique()) > 3
    assert torch.autograd.gradcheck(
        lambda *x: sum(offset_terms(*x, labels, bandwidth=1.0).values()),
        [x.requires_grad_() for x in outputs],
    )


def test_order_of_labels_does_not_matter(case):
    *outputs, labels = case
    turned = torch.where(labels > 0, 9 - labels, labels)
    torch.testing.assert_close(offset_terms(*outputs, labels), offset_terms(*outputs, turned))


def test_the_decoder_reads_the_fused_embedding(case):
    embedding, offset, confidence, labels = (x[:1] for x in case)
    names = ("1", "offset", "confidence")
    outputs = {
        name: x[0].float() for name, x in zip(names, (embedding, offset, confidence), strict=True)
    }
    value = softmax_terms(embedding_of(outputs)[None], labels, bandwidth=0.5)["separation"]
    fused = offset_terms(embedding, offset, confidence, labels, bandwidth=0.5)["fused"]
    torch.testing.assert_close(value, fused.float())


def test_without_offsets_the_three_embeddings_are_one(case):
    embedding, offset, confidence, labels = case
    terms = offset_terms(embedding, offset * 0, confidence, labels)
    torch.testing.assert_close(terms["sampled"], terms["own"])
    torch.testing.assert_close(terms["fused"], 2 * terms["own"])


def test_a_pixel_that_looks_like_another_instance_is_told_by_where_it_points():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    embedding = torch.tensor([0.0, 9.0, 9.0, 9.0]).view(1, 1, 1, 4)
    offset = torch.zeros(1, 2, 1, 4)
    offset[0, 0, 0, 1] = -0.5  # a cell to the left
    confidence = torch.full((1, 1, 1, 4), 1.0)
    terms = offset_terms(embedding, offset, confidence, labels)
    assert terms["own"] > 1
    assert terms["sampled"] == pytest.approx(0, abs=1e-6)
    assert terms["fused"] == pytest.approx(0, abs=1e-6)
    assert terms["confidence"] == pytest.approx(0, abs=1e-6)


def test_perfect_beats_shuffled(case):
    _, offset, confidence, _ = case
    labels = torch.arange(30).view(1, 5, 6) // 12
    good = 9 * torch.eye(3)[labels].permute(0, 3, 1, 2).double()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    shuffled = good.flatten(2)[..., order].view_as(good)
    cost, worse = (
        offset_terms(x, offset[:1], confidence[:1], labels)["own"] for x in (good, shuffled)
    )
    assert cost < worse


def test_the_value_of_a_constant_embedding_and_the_gradient_beside_it(case):
    _, offset, confidence, labels = (x[:1] for x in case)
    number = len(labels.unique()[labels.unique() > 0])
    constant = torch.full((1, 3, 5, 6), 0.3).double()
    terms = offset_terms(constant, offset, confidence, labels)
    for name, weight in (("own", 0.5), ("sampled", 0.5), ("fused", 1.0)):
        assert terms[name] == pytest.approx(weight * math.log(number), abs=1e-6)
    noise = torch.randn(constant.shape, generator=torch.Generator().manual_seed(0))
    disturbed = (constant + 0.01 * noise).requires_grad_()
    moved = offset.clone().requires_grad_()
    sum(offset_terms(disturbed, moved, confidence, labels).values()).backward()
    assert disturbed.grad is not None
    assert moved.grad is not None
    assert disturbed.grad.abs().max() > 1e-4
    assert moved.grad.abs().max() > 1e-6


def test_large_labels_are_told_apart():
    labels = torch.tensor([[[2**40, 2**40 + 1]]])
    offset = torch.zeros(1, 2, 1, 2)
    offset[:, 0, :, 0] = 1.0  # the first points at the second
    sure = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    terms = offset_terms(torch.zeros(1, 1, 1, 2), offset, sure, labels)
    assert terms["confidence"] == pytest.approx(0, abs=1e-6)


def test_offsets_reach_as_far_as_they_may():
    head = offset_vectors(reach=0.3).heads["offset"]
    assert (head.activation, head.scale) == ("tanh", 0.3)
