import json

import numpy as np
import pytest
import torch

from maskspace.objectives.pixels import instances
from maskspace.objectives.spatial_embedding import (
    instance_cost,
    spatial_embedding,
    spatial_terms,
)
from maskspace.targets import UNLABELLED

CENTRES = ["mean", "learnt", "centroid", "approximate_medoid", "medoid"]


def lovasz_of_sets(errors, true):
    """The Lovász extension by the Jaccard losses of growing sets."""
    order = np.argsort(-errors, kind="stable")
    wrong = np.zeros(len(errors), dtype=bool)
    before = total = 0.0
    for index in order:
        wrong[index] = True
        after = wrong.sum() / (true | wrong).sum()
        total += errors[index] * (after - before)
        before = after
    return total


def naive(outputs, labels, centre_of, unit=1023.0, weight=10.0):
    """The three terms, instance by instance, of one image without unknown pixels."""
    e = outputs["1"][0].flatten(1).T.numpy()
    raw = outputs["bandwidth"][0].flatten(1).T.numpy()
    seed = outputs["seed"][0].flatten().numpy()
    y = labels[0].flatten().numpy()
    hinges, spreads, seeds = [], [], (seed[y == 0] ** 2).sum()
    for k in sorted(set(y.tolist()) - {0}):
        inside = y == k
        mean = raw[inside].mean(0)
        phi = np.exp(-(np.exp(10 * mean) * (e - centre_of(e, inside)) ** 2).sum(1))
        hinges.append(lovasz_of_sets(np.where(inside, 2 - 2 * phi, 2 * phi), inside))
        spreads.append(((raw[inside] - mean) ** 2).mean())
        seeds += weight * ((seed[inside] - phi[inside]) ** 2).sum()
    return np.mean(hinges), np.mean(spreads), seeds / len(y)


def random_outputs(size_hw=(6, 7), batch=1, bandwidths=2, unit=4.0, seed=0):
    torch.manual_seed(seed)
    rows, columns = (torch.arange(n, dtype=torch.double) + 0.5 for n in size_hw)
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy")) / unit
    offset = torch.tanh(torch.randn(batch, 2, *size_hw, dtype=torch.double) * 0.3)
    raw = torch.rand(batch, bandwidths, *size_hw, dtype=torch.double) * 0.3
    seeds = torch.rand(batch, 1, *size_hw, dtype=torch.double)
    return {"1": offset + place, "bandwidth": raw, "seed": seeds}


def perfect(labels, unit=1023.0):
    """Every pixel at the mean position of its instance, narrow, and sure of it."""
    rows, columns = (torch.arange(n, dtype=torch.double) + 0.5 for n in labels.shape[1:])
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None] / unit
    found = instances(place, labels)
    own = torch.gather(found.means, 1, found.slot[..., None].expand(-1, -1, 2))
    e = torch.where(found.labelled[..., None], own, 9.0).transpose(1, 2).view_as(place)
    return {
        "1": e,
        "bandwidth": torch.full_like(e[:, :1], 1.0),
        "seed": (labels[:, None] > 0).double(),
    }


@pytest.fixture
def labels():
    labels = torch.zeros(1, 6, 7, dtype=torch.long)
    labels[:, :3, :3], labels[:, 3:, 1:5], labels[:, :4, 5:] = 1, 2, 3
    return labels


def test_values_are_the_recorded_ones(vectors):
    recorded = json.loads((vectors / "embedding_vectors.json").read_text())
    cases = recorded["2_spatial_embedding"]["cases"]
    assert len(cases) == 4
    for case in cases:

        def image(values):
            return torch.tensor(values, dtype=torch.double).T.reshape(1, -1, 2, 3)

        # coordinates a quarter apart; ours are those of pixel centres
        place = image(case["coords_xy"]) + 0.125
        outputs = {
            "1": torch.tanh(image(case["offset_raw"])) + place,
            "bandwidth": image(case["sigma_raw"]),
            "seed": torch.sigmoid(image([[s] for s in case["seed_raw"]])),
        }
        terms = spatial_terms(
            outputs,
            torch.tensor(case["labels"]).view(1, 2, 3),
            centre="mean" if case["to_center"] else "learnt",
            pixels_per_unit=4.0,
        )
        expected = case["expected"]
        assert terms["instance"].item() == pytest.approx(expected["L_instance"], abs=1e-6)
        assert terms["smoothness"].item() == pytest.approx(10 * expected["L_var"], abs=1e-6)
        assert terms["seed"].item() == pytest.approx(expected["L_seed"], abs=1e-6)
        assert sum(t.item() for t in terms.values()) == pytest.approx(expected["total"], abs=1e-6)


@pytest.mark.parametrize("bandwidths", [1, 2])
@pytest.mark.parametrize("centre", ["mean", "learnt"])
def test_terms_equal_the_loop_over_instances(bandwidths, centre, labels):
    outputs = random_outputs(bandwidths=bandwidths)
    terms = spatial_terms(outputs, labels, centre=centre, pixels_per_unit=4.0)
    columns, rows = np.meshgrid(np.arange(7) + 0.5, np.arange(6) + 0.5)
    place = np.stack([columns, rows], -1).reshape(-1, 2) / 4.0
    found = naive(
        outputs,
        labels,
        lambda e, inside: (e if centre == "learnt" else place)[inside].mean(0),
    )
    expected = dict(zip(("instance", "smoothness", "seed"), found, strict=True))
    assert terms["instance"].item() == pytest.approx(expected["instance"], abs=1e-9)
    assert terms["smoothness"].item() == pytest.approx(10 * expected["smoothness"], abs=1e-9)
    assert terms["seed"].item() == pytest.approx(expected["seed"], abs=1e-9)


@pytest.mark.parametrize("centre", CENTRES)
def test_instances_in_their_centres_cost_nothing_and_shuffled_ones_more(centre, labels):
    labels = labels[:, :, :3]  # of a square the mean is a pixel, and so its centre by all rules
    labels = torch.where(labels == 1, 1, 0)
    outputs = perfect(labels)
    terms = spatial_terms(outputs, labels, centre=centre)
    assert sum(t.item() for t in terms.values()) == pytest.approx(0, abs=1e-9)
    torch.manual_seed(0)
    order = torch.randperm(18)
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in outputs.items()}
    assert spatial_terms(shuffled, labels, centre=centre)["instance"] > 0.5


def test_taking_instances_in_chunks_changes_neither_values_nor_gradients(labels):
    outputs = random_outputs(batch=2)
    labels = torch.cat([labels, labels.flip(1)])
    known = labels.flatten(1) >= 0
    found = []
    for chunk in (1, 84, 2**22):
        e = outputs["1"].clone().requires_grad_()
        raw = outputs["bandwidth"].clone().requires_grad_()
        slots, wide = instances(e, labels), instances(raw, labels)
        gaussians = (slots.means, (10 * wide.means).exp())
        weight = torch.tensor([[1.0, 3.0, 2.0], [0.5, 2.0, 4.0]]).double()
        costs = instance_cost(slots, *gaussians, known, weight, chunk=chunk)
        found.append((costs, *torch.autograd.grad(costs.square().sum(), (e, raw))))
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


@pytest.mark.parametrize("centre", ["mean", "learnt"])
def test_gradients_are_those_with_frozen_targets(centre):
    labels = torch.tensor([[[1, 1, 2, 0], [1, 3, 2, 0], [3, 3, 3, 0]]])
    outputs = {h: x.requires_grad_() for h, x in random_outputs((3, 4)).items()}
    options = {"centre": centre, "pixels_per_unit": 4.0}
    whole = torch.stack(list(spatial_terms(outputs, labels, **options).values())).sum()
    ours = torch.autograd.grad(whole, tuple(outputs.values()))
    found, raw = instances(outputs["1"], labels), instances(outputs["bandwidth"], labels)
    own = torch.gather(raw.means, 1, raw.slot[..., None].expand_as(raw.pixels)).detach()
    learnt = found.means if centre == "learnt" else instances(place_of(labels, 4.0), labels).means
    slot = found.slot[..., None].expand(-1, -1, 2)
    away = (found.pixels - learnt.gather(1, slot)).square()
    phi = (-(away * (10 * raw.means).exp().gather(1, slot)).sum(-1)).exp()
    phi = torch.where(found.labelled, phi, 0.0).detach()

    def frozen(e, bandwidth, seed):
        terms = spatial_terms({"1": e, "bandwidth": bandwidth, "seed": seed}, labels, **options)
        spread = (bandwidth.flatten(2).transpose(1, 2) - own).square().mean(-1)
        groups = [spread[0][labels[0].flatten() == k].mean() for k in (1, 2, 3)]
        weight = torch.where(labels.flatten(1) > 0, 10.0, 1.0)
        seeds = (weight * (seed.flatten(1) - phi).square()).mean()
        return terms["instance"] + 10 * torch.stack(groups).mean() + seeds

    assert torch.autograd.gradcheck(frozen, tuple(outputs.values()))
    theirs = torch.autograd.grad(frozen(*outputs.values()), tuple(outputs.values()))
    torch.testing.assert_close(ours, theirs)


def place_of(labels, unit):
    rows, columns = (torch.arange(n, dtype=torch.double) + 0.5 for n in labels.shape[1:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None] / unit


def test_the_names_of_instances_do_not_matter(labels):
    outputs = random_outputs()
    renamed = torch.tensor([0, 9, 2, 5])[labels]
    for name, value in spatial_terms(outputs, labels).items():
        torch.testing.assert_close(spatial_terms(outputs, renamed)[name], value)


def test_a_batch_is_the_mean_of_its_images(labels):
    outputs = random_outputs(batch=2)
    labels = torch.cat([labels, labels.flip(1)])
    both = spatial_terms(outputs, labels)
    singles = [
        spatial_terms({h: x[i : i + 1] for h, x in outputs.items()}, labels[i : i + 1])
        for i in (0, 1)
    ]
    for name, value in both.items():
        torch.testing.assert_close(value, (singles[0][name] + singles[1][name]) / 2)


def test_the_plateaus_of_wide_and_of_narrow_gaussians():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[:, :2, :2] = 1
    outputs = random_outputs((4, 4), bandwidths=1)
    for raw, value in ((-3.0, 2 * (1 - 4 / 16)), (3.0, 2.0)):
        outputs["bandwidth"] = torch.full_like(outputs["bandwidth"], raw)
        terms = spatial_terms(outputs, labels)
        assert terms["instance"].item() == pytest.approx(value, abs=1e-6)


def test_unknown_pixels_enter_no_term(labels):
    outputs = random_outputs()
    labels[:, 5] = UNLABELLED
    before = spatial_terms(outputs, labels, pixels_per_unit=4.0)
    changed = {h: x.clone() for h, x in outputs.items()}
    for x in changed.values():
        x[:, :, 5] = 0.7
    after = spatial_terms(changed, labels, pixels_per_unit=4.0)
    torch.testing.assert_close(after, before)


def test_one_step_from_a_constant_output_lowers_every_term(labels):
    """Equal outputs, each pixel at the mean of all: not stationary, the centres differ."""
    x = torch.tensor([3.5 / 4, 3.0 / 4], dtype=torch.double).view(1, 2, 1, 1)
    e = x.expand(1, 2, 6, 7).clone().requires_grad_()
    outputs = {
        "1": e,
        "bandwidth": torch.full((1, 1, 6, 7), 0.2, dtype=torch.double),
        "seed": torch.full((1, 1, 6, 7), 0.5, dtype=torch.double),
    }
    value = spatial_terms(outputs, labels, pixels_per_unit=4.0)["instance"]
    (gradient,) = torch.autograd.grad(value, e)
    assert gradient.abs().max() > 1e-3
    outputs["1"] = e - 1e-3 * gradient
    assert spatial_terms(outputs, labels, pixels_per_unit=4.0)["instance"] < value


def test_a_bandwidth_for_each_axis_is_two_channels():
    assert spatial_embedding(bandwidths=2).heads["bandwidth"].bias == (1.0, 1.0)
