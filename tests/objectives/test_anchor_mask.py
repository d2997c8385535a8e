import pytest
import torch

from maskspace.objectives import tiles
from maskspace.objectives.anchor_mask import anchor_mask, anchor_terms
from maskspace.objectives.samples import sample_instances
from maskspace.targets import Targets


def naive(embedding, labels, margin):
    """The term, an instance and a pixel at a time, of the same anchors."""
    anchors = sample_instances(embedding, labels, number=1).pixel[..., 0]
    images = []
    for x, y, drawn in zip(embedding, labels, anchors, strict=True):
        losses = []
        present = [k for k in sorted(set(y.flatten().tolist())) if k > 0]
        for k, pixel in zip(present, drawn.tolist(), strict=False):
            anchor = x.flatten(1)[:, pixel]
            assert y.flatten()[pixel] == k
            squared = ((x - anchor[:, None, None]) ** 2).sum(0)
            soft, mask = 0.5 ** (squared / margin**2), (y == k).to(x.dtype)
            known = y >= 0
            shared = (soft * mask)[known].sum()
            total = (soft**2)[known].sum() + mask.sum()
            losses.append(1 - (2 * shared + 1) / (total + 1))
        if losses:
            images.append(torch.stack(losses).mean())
    return torch.stack(images).mean()


@pytest.fixture
def labels():
    labels = torch.randint(-1, 5, (3, 6, 7), generator=torch.Generator().manual_seed(0))
    labels[1][labels[1] > 2] = 0  # fewer instances than the others
    labels[2] = 0
    return labels


@pytest.mark.parametrize("pairs", [1, 100, tiles.PAIRS_CPU])
def test_value_and_gradient_equal_the_loop_over_instances_whatever_the_tile(
    labels, pairs, monkeypatch
):
    monkeypatch.setattr(tiles, "PAIRS_CPU", pairs)
    embedding = torch.randn(3, 3, 6, 7, generator=torch.Generator().manual_seed(1)).double()
    embedding.requires_grad_()
    torch.manual_seed(0)
    value = anchor_terms(embedding, labels, margin=0.8)["mask"]
    torch.manual_seed(0)
    expected = naive(embedding, labels, 0.8)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(*(torch.autograd.grad(x, embedding) for x in (value, expected)))


def test_gradient_in_double_precision(labels):
    embedding = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(1)).double()
    corner = labels[::2, :3, :4]
    assert len(corner.unique()) > 3

    def term(x):
        torch.manual_seed(0)
        return anchor_terms(x, corner, margin=1.0)["mask"]

    assert torch.autograd.gradcheck(term, embedding.requires_grad_())


def test_separated_instances_cost_nothing_and_shuffled_ones_do(labels):
    labels = labels.clamp(min=0)
    good = 10 * torch.eye(5)[labels].permute(0, 3, 1, 2)
    assert anchor_terms(good, labels)["mask"] == pytest.approx(0, abs=1e-6)
    order = torch.randperm(42, generator=torch.Generator().manual_seed(0))
    shuffled = good.flatten(2)[..., order].view_as(good)
    assert anchor_terms(shuffled, labels)["mask"] > 0.5


def test_at_the_margin_the_mask_is_one_half():
    """Of two pixels of one instance, whichever is the anchor."""
    labels = torch.tensor([[[1, 1]]])
    value = anchor_terms(torch.tensor([0.0, 0.5]).view(1, 1, 1, 2), labels, margin=0.5)["mask"]
    assert value == pytest.approx(1 - (2 * 1.5 + 1) / (1.25 + 2 + 1), abs=1e-6)


def test_the_value_of_a_constant_output_and_the_gradient_beside_it():
    labels = torch.tensor([[[1, 1, 1, 2, 2, 0, 0, -1]]])
    constant = torch.full((1, 3, 1, 8), 0.3)
    expected = [1 - (2 * n + 1) / (7 + n + 1) for n in (3, 2)]
    assert anchor_terms(constant, labels)["mask"] == pytest.approx(sum(expected) / 2, abs=1e-5)
    noise = torch.randn(constant.shape, generator=torch.Generator().manual_seed(0))
    disturbed = (constant + 0.01 * noise).requires_grad_()
    anchor_terms(disturbed, labels)["mask"].backward()
    assert disturbed.grad is not None
    assert disturbed.grad.abs().max() > 1e-4


def test_the_objective_adds_the_mask_to_the_discriminative_terms(labels):
    objective = anchor_mask(mask=2.0, channels=3, foreground=0.0)
    embedding = torch.randn(3, 3, 6, 7, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    terms = objective.terms({"1": embedding}, Targets.of_labels(labels))
    assert {"pull", "push", "mask"} <= set(terms)
    torch.manual_seed(0)
    torch.testing.assert_close(terms["mask"], 2 * anchor_terms(embedding, labels)["mask"])
