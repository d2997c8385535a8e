from itertools import permutations

import pytest
import torch

from maskspace.clustering import cluster_steps
from maskspace.objectives.clustering_queries import (
    clustering_queries,
    log_complement,
    query_terms,
)
from maskspace.partition.queries import queries as decode


def pair(share, mask, known):
    """Cross-entropy and Dice of one query's mask."""
    p, t = share[known], mask[known].to(share.dtype)
    entropy = -(t * p.log() + (1 - t) * (1 - p).log()).mean()
    return entropy, 1 - (2 * (p * t).sum() + 1) / ((p**2).sum() + t.sum() + 1)


def naive(embedding, queries, labels, steps):
    """Both terms: the cheapest of all assignments at the last step, a pair at a time."""
    images = []
    for x, q, y in zip(embedding, queries, labels.flatten(1), strict=True):
        logits = cluster_steps(q[None], x.flatten(1).T[None], steps=steps)
        shares = [z[0].softmax(1) for z in logits]
        present = [k for k in sorted(set(y.tolist())) if k > 0]
        if not present:
            continue
        table = [
            [[torch.stack(pair(s[:, k], y == n, y >= 0)) for k in range(len(q))] for n in present]
            for s in shares
        ]
        weights = torch.tensor([5.0, 2.0], dtype=x.dtype)
        best = min(
            permutations(range(len(q) - 1), len(present)),
            key=lambda ks: sum(float(weights @ table[-1][n][k]) for n, k in enumerate(ks)),
        )
        values = []
        for s, rows in zip(shares, table, strict=True):
            values += [rows[n][k] for n, k in enumerate(best)]
            values.append(torch.stack(pair(s[:, -1], y == 0, y >= 0)))
        images.append(weights * torch.stack(values).mean(0))
    return torch.stack(images).mean(0)


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(0)
    embedding = torch.randn(3, 3, 5, 6, generator=generator).double()
    queries = torch.randn(3, 5, 3, generator=generator).double()
    labels = torch.randint(-1, 4, (3, 5, 6), generator=generator)
    labels[1][labels[1] > 2] = 0
    labels[2] = 0
    return embedding, queries, labels


@pytest.mark.parametrize("steps", [1, 3])
def test_terms_equal_the_cheapest_of_all_assignments(case, steps):
    embedding, queries, labels = case
    terms = query_terms(embedding, queries, labels, steps=steps)
    expected = naive(embedding, queries, labels, steps)
    torch.testing.assert_close(torch.stack([terms["cross_entropy"], terms["dice"]]), expected)


def test_gradient_in_double_precision(case):
    embedding, queries, labels = (x[::2] for x in case)
    embedding, labels = embedding[..., :3, :4], labels[:, :3, :4]
    assert len(labels.unique()) > 3
    assert torch.autograd.gradcheck(
        lambda x, q: sum(query_terms(x, q, labels).values()),
        (embedding.requires_grad_(), queries.requires_grad_()),
    )


def test_the_complement_of_a_certain_share_is_exact():
    logits = torch.tensor([[[60.0, 0.0, 0.0], [0.0, 1.0, 0.5]]])
    found = log_complement(logits, logits.softmax(2))
    share = logits.double().softmax(2)
    torch.testing.assert_close(found[0, 1], (1 - share[0, 1]).log().float())
    assert found[0, 0, 0] == pytest.approx(-60 + 0.693147, abs=1e-4)


def test_order_of_labels_and_of_queries_does_not_matter(case):
    embedding, queries, labels = case
    order = torch.tensor([2, 0, 3, 1, 4])  # the last is the background's
    torch.testing.assert_close(
        query_terms(embedding, queries, labels),
        query_terms(embedding, queries[:, order], torch.where(labels > 0, 9 - labels, labels)),
    )


def test_more_instances_than_queries_leave_some_without(case):
    embedding, queries, labels = case
    terms = query_terms(embedding, queries[:, 3:], labels)
    assert all(value.isfinite() for value in terms.values())


def test_perfect_beats_shuffled_and_the_decoder_reads_it():
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[:, :3, :3], labels[:, 3:] = 1, 2
    good = 6 * torch.eye(4)[(labels + 3) % 4].permute(0, 3, 1, 2)  # 0 is the last query's
    queries = 6 * torch.eye(4)[None]
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    shuffled = good.flatten(2)[..., order].view_as(good)
    cost, worse = (sum(query_terms(x, queries, labels).values()) for x in (good, shuffled))
    assert cost < 1e-3
    assert worse > 1
    found = decode({"4": good[0], "query": queries[0]}, steps=3)
    assert found.labels.tolist() == labels[0].tolist()
    assert found.scores.tolist() == pytest.approx([1, 1], abs=1e-3)


def test_queries_leave_a_constant_embedding():
    """Equal embeddings under different queries have a gradient; equal queries part on disturbed
    ones."""
    labels = torch.arange(36).view(1, 6, 6) // 12
    generator = torch.Generator().manual_seed(0)
    queries = torch.randn(1, 4, 3, generator=generator)
    embedding = torch.full((1, 3, 6, 6), 0.5, requires_grad=True)
    sum(query_terms(embedding, queries, labels).values()).backward()
    assert embedding.grad is not None
    assert embedding.grad.abs().max() > 1e-3
    same = torch.ones(1, 4, 3, requires_grad=True)
    noise = 0.01 * torch.randn(1, 3, 6, 6, generator=generator)
    sum(query_terms(0.5 + noise, same, labels).values()).backward()
    assert same.grad is not None
    assert (same.grad - same.grad.mean(1, keepdim=True)).abs().max() > 1e-3


def test_no_query_is_told():
    with pytest.raises(ValueError, match="queries is at least 1; got 0"):
        clustering_queries(queries=0)
