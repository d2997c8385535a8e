import math

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from maskspace.objectives.deep_watershed import (
    BIN_WEIGHTS,
    EDGES,
    SHRINK,
    deep_watershed,
    direction_cost,
    energy_cost,
    watershed_terms,
)
from maskspace.objectives.inner_distance import inner_direction, inner_distance
from maskspace.targets import Targets


@pytest.fixture
def labels():
    labels = torch.zeros(2, 14, 16, dtype=torch.long)
    labels[:, 1:12, 1:8], labels[:, 2:10, 8:15], labels[:, 12:, 1:3] = 1, 2, 3
    labels[1, 12:] = -1
    return labels


def perfect(labels):
    distance = inner_distance(labels)
    direction, _ = inner_direction(distance, labels)
    bins = torch.bucketize(distance, distance.new_tensor(EDGES), right=True)
    energy = torch.nn.functional.one_hot(bins, 16).permute(0, 3, 1, 2) * 60.0
    on = (labels[:, None] > 0).double() * 40 - 20
    return {"direction": direction.double(), "energy": energy.double(), "foreground": on}


def random_outputs(size_hw, batch=2):
    torch.manual_seed(0)
    direction = torch.randn(batch, 2, *size_hw, dtype=torch.double)
    return {
        "direction": torch.nn.functional.normalize(direction, dim=1),
        "energy": torch.randn(batch, 16, *size_hw, dtype=torch.double),
        "foreground": torch.randn(batch, 1, *size_hw, dtype=torch.double),
    }


def test_terms_equal_the_loop_over_pixels(labels):
    outputs = random_outputs((14, 16))
    terms = watershed_terms(outputs, labels, min_area=16)
    directions, energies = [], []
    for image, y in enumerate(labels.numpy()):
        angle = energy = torch.zeros((), dtype=torch.double)
        directed = total = 1.0
        for k in (0, 1, 2):  # the third has four pixels
            depth = np.asarray(distance_transform_edt(y == k)) * (k > 0)
            truth, valid = inner_direction(torch.from_numpy(depth[None]), torch.from_numpy(y[None]))
            weight = 200 / math.sqrt((y == k).sum())
            for row, column in np.argwhere(y == k):
                p = outputs["energy"][image, :, row, column].softmax(0)
                here = sum(depth[row, column] >= edge for edge in EDGES)
                for c, a in enumerate(BIN_WEIGHTS):
                    chance = p[c] if c == here else 1 - p[c]
                    energy = energy - weight * a * chance.log()
                total += weight
                if valid[0, row, column]:
                    v = truth[0, :, row, column]
                    cosine = outputs["direction"][image, :, row, column] @ v
                    angle = angle + weight * (cosine * SHRINK).arccos() ** 2
                    directed += 1
        directions.append(angle / directed)
        energies.append(energy / total)
    torch.testing.assert_close(
        terms["direction"], torch.stack(directions).mean(), rtol=1e-5, atol=0
    )
    torch.testing.assert_close(terms["energy"], torch.stack(energies).mean(), rtol=1e-5, atol=0)


def test_perfect_outputs_cost_nothing_and_shuffled_ones_more(labels):
    outputs = perfect(labels)
    terms = watershed_terms(outputs, labels)
    assert sum(terms.values()) < 1e-3
    order = torch.randperm(14 * 16, generator=torch.Generator().manual_seed(0))
    shuffled = {h: x.flatten(2)[..., order].view_as(x) for h, x in outputs.items()}
    worse = watershed_terms(shuffled, labels)
    assert all(worse[name] > terms[name] + 0.1 for name in terms)


def test_gradients_are_those_of_finite_differences():
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    labels[:, 1:, 1:] = 1
    outputs = {h: x.requires_grad_() for h, x in random_outputs((6, 6), 1).items()}

    def value(*given):
        found = watershed_terms(dict(zip(outputs, given, strict=True)), labels)
        return torch.stack(list(found.values()))

    assert torch.autograd.gradcheck(value, tuple(outputs.values()), fast_mode=True)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_angles_have_finite_slopes_at_the_truth_and_opposite_to_it(sign):
    truth = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    output = (sign * truth).requires_grad_()
    cost = direction_cost(output, truth)
    (gradient,) = torch.autograd.grad(cost.sum(), output)
    assert cost.item() == pytest.approx(0.0 if sign > 0 else math.pi**2, abs=0.02)
    assert gradient.isfinite().all()


def test_energies_sure_of_a_wrong_bin_have_finite_gradients():
    logits = torch.zeros(1, 16, 1, 1)
    logits[:, 3] = 1e4
    logits.requires_grad_()
    cost = energy_cost(logits, torch.zeros(1, 1, 1, dtype=torch.long))
    (gradient,) = torch.autograd.grad(cost.sum(), logits)
    assert cost.isfinite().all()
    assert gradient.isfinite().all()
    assert gradient[0, 0] < 0


def test_a_constant_output_is_not_stationary(labels):
    outputs = {
        "direction": torch.tensor([0.6, 0.8]).view(1, 2, 1, 1).expand(2, 2, 14, 16),
        "energy": torch.zeros(2, 16, 14, 16),
        "foreground": torch.zeros(2, 1, 14, 16),
    }
    outputs = {h: x.clone().requires_grad_() for h, x in outputs.items()}
    terms = watershed_terms(outputs, labels)
    assert terms["foreground"].item() == pytest.approx(math.log(2))
    gradients = torch.autograd.grad(
        torch.stack(list(terms.values())).sum(), tuple(outputs.values())
    )
    assert all(g.abs().max() > 1e-4 for g in gradients)


def test_names_and_other_images_do_not_matter(labels):
    outputs = random_outputs((14, 16))
    terms = watershed_terms(outputs, labels)
    renamed = watershed_terms(outputs, torch.tensor([0, 30, 20, 10, -1])[labels])
    torch.testing.assert_close(renamed, terms)
    singles = [
        watershed_terms({h: x[i : i + 1] for h, x in outputs.items()}, labels[i : i + 1])
        for i in (0, 1)
    ]
    for name, value in terms.items():
        torch.testing.assert_close(value, (singles[0][name] + singles[1][name]) / 2)


def test_an_instance_that_fills_the_image_asks_nothing_of_depth():
    outputs = random_outputs((8, 8), 1)
    terms = watershed_terms(outputs, torch.ones(1, 8, 8, dtype=torch.long))
    assert terms["direction"] == 0
    assert terms["energy"] == 0


def test_the_background_asks_for_bin_0_alone():
    outputs = random_outputs((8, 8), 1)
    outputs["energy"][:, 0] += 50
    terms = watershed_terms(outputs, torch.zeros(1, 8, 8, dtype=torch.long))
    assert terms["direction"] == 0
    assert terms["energy"] < 1e-6


def test_without_its_weight_there_is_no_foreground():
    objective = deep_watershed(foreground=0.0)
    assert set(objective.heads) == {"direction", "energy"}
    labels = torch.ones(1, 8, 8, dtype=torch.long)
    assert set(objective.terms(random_outputs((8, 8), 1), Targets.of_labels(labels))) == {
        "direction",
        "energy",
    }
