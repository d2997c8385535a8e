import math

import pytest
import torch

from maskspace.objectives.object_centric import (
    anchor_pairs,
    object_centric,
    object_centric_terms,
)
from maskspace.objectives.positions import positions


def terms_of(e, labels, **options):
    torch.manual_seed(3)
    return object_centric_terms({"1": e}, labels, **options)


@pytest.fixture
def labels():
    """Two squares, which the objective does not see, side by side."""
    labels = torch.ones(1, 24, 40, dtype=torch.long)
    labels[:, :, 20:] = 2
    return labels


@pytest.mark.parametrize("regularised", ["offset", "embedding"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_terms_equal_the_loop_over_the_pairs_drawn(labels, regularised, reduction):
    torch.manual_seed(0)
    place = positions(labels)
    e = place + torch.randn_like(place) * 3
    options = {"kappa": 3.0, "density": 0.2, "offset_weight": 0.1}
    terms = terms_of(e, labels, regularised=regularised, reduction=reduction, **options)
    torch.manual_seed(3)
    anchors, references, inside = anchor_pairs(labels, kappa=3.0, density=0.2)
    assert inside.all()
    costs, sizes = [], []
    flat, where = e.flatten(2)[0].T, place.flatten(2)[0].T
    for a, several in zip(anchors[0].tolist(), references[0].tolist(), strict=True):
        for r in several:
            assert 0 < (where[a] - where[r]).norm() <= 3
            costs.append(1 - math.exp(-float((flat[a] - flat[r]).square().sum()) / 10))
            sizes.append(float((flat[a] - where[a] * (regularised == "offset")).norm()))
    number = len(costs) if reduction == "mean" else 1
    assert terms["agreement"].item() == pytest.approx(sum(costs) / number)
    assert terms["regularisation"].item() == pytest.approx(0.1 * sum(sizes) / number)


def test_anchors_keep_the_radius_from_the_edge_and_have_its_share_of_references():
    anchors, references, inside = anchor_pairs(
        torch.zeros(2, 50, 60, dtype=torch.long), kappa=10.0, density=0.1
    )
    assert anchors.shape == (2, 120)
    assert references.shape == (2, 120, 31)
    assert inside.all()
    assert (anchors % 60).min() >= 10
    assert (anchors % 60).max() < 50
    assert (anchors // 60).min() >= 10
    assert (anchors // 60).max() < 40


def test_references_outside_a_small_image_take_no_part():
    labels = torch.zeros(1, 5, 5, dtype=torch.long)
    inside = anchor_pairs(labels, kappa=10.0, density=1.0)[2]
    assert not inside.all()
    e = positions(labels).clone()
    assert terms_of(e, labels, density=1.0)["agreement"] < 1


def test_pixels_at_their_objects_agree_more_than_shuffled_ones(labels):
    e = torch.where(labels[:, None] == 1, 10.0, 30.0).expand(-1, 2, -1, -1).double()
    good = terms_of(e, labels)["agreement"]
    bad = terms_of(e.flatten(2)[..., torch.randperm(960)].view_as(e), labels)["agreement"]
    assert good < 0.5 * bad


def test_equal_embeddings_are_stationary_and_equal_offsets_cost_what_is_said(labels):
    e = torch.full((1, 2, 24, 40), 7.0, dtype=torch.double, requires_grad=True)
    value = terms_of(e, labels)["agreement"]
    (gradient,) = torch.autograd.grad(value, e)
    assert value == 0
    assert gradient.abs().max() == 0
    place = positions(torch.zeros(1, 200, 200, dtype=torch.long)) + 3.0
    value = terms_of(place, torch.zeros(1, 200, 200, dtype=torch.long))["agreement"]
    assert value.item() == pytest.approx(0.91, abs=0.01)


def test_gradients_are_those_with_frozen_references():
    labels = torch.zeros(1, 5, 6, dtype=torch.long)
    torch.manual_seed(0)
    e = (positions(labels) + torch.randn(1, 2, 5, 6)).requires_grad_()
    options = {"kappa": 2.0, "density": 0.5, "offset_weight": 0.1}
    torch.manual_seed(3)
    anchors, references, inside = anchor_pairs(labels, kappa=2.0, density=0.5)
    other = e.detach().flatten(2)[0].T[references[0]]
    place = positions(labels).flatten(2)[0].T[anchors[0]]

    def frozen(e):
        near = e.flatten(2)[0].T[anchors[0]]
        away = (near[:, None] - other).square().sum(-1)[inside[0]]
        size = (near - place).norm(dim=-1)[:, None].expand(-1, references.shape[2])[inside[0]]
        return (1 - (-away / 10).exp()).mean() + 0.1 * size.mean()

    assert torch.autograd.gradcheck(frozen, e)
    (theirs,) = torch.autograd.grad(frozen(e), e)
    terms = terms_of(e, labels, **options)
    (ours,) = torch.autograd.grad(terms["agreement"] + terms["regularisation"], e)
    torch.testing.assert_close(ours, theirs)


def test_labels_do_not_matter(labels):
    torch.manual_seed(0)
    e = positions(labels) + torch.randn(1, 2, 24, 40)
    torch.testing.assert_close(terms_of(e, labels), terms_of(e, labels * 0 - 1))


def test_the_bandwidth_is_half_the_size_of_an_object():
    assert object_centric(object_size=30.0).decoder.options == {
        "bandwidth": 15.0,
        "kernel": "flat",
    }
