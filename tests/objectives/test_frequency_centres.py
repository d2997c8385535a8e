import math

import pytest
import torch

from maskspace.objectives import OBJECTIVES
from maskspace.objectives.frequency_centres import FREQUENCIES, centre_codes
from maskspace.targets import Targets


def test_codes_equal_the_loop_over_instances():
    labels = torch.randint(-1, 4, (2, 5, 9), generator=torch.Generator().manual_seed(0))
    code = centre_codes(labels, (2.0, 7.0))
    assert code.shape == (2, 8, 5, 9)
    for image, k in ((i, k) for i in range(2) for k in (1, 2, 3)):
        rows, columns = torch.nonzero(labels[image] == k, as_tuple=True)
        x, y = columns.double().mean() / 8, rows.double().mean() / 4
        expected = [f(w * c) for w in (2.0, 7.0) for f in (torch.sin, torch.cos) for c in (x, y)]
        found = code[image, :, rows, columns]
        torch.testing.assert_close(found, torch.stack(expected).float()[:, None].expand_as(found))


@pytest.mark.parametrize("step", [1, 3])
def test_distances_of_codes_are_those_of_the_formula(step):
    labels = torch.zeros(1, 1, 17, dtype=torch.long)
    labels[..., 4], labels[..., 4 + step] = 1, 2
    code = centre_codes(labels, FREQUENCIES)[0, :, 0]
    apart = (code[:, 4] - code[:, 4 + step]).square().sum()
    expected = sum(4 * math.sin(w * step / 16 / 2) ** 2 for w in FREQUENCIES)
    assert apart.item() == pytest.approx(expected, rel=1e-4)


def test_exact_codes_cost_nothing_and_shuffled_ones_something():
    labels = torch.randint(0, 4, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    objective = OBJECTIVES["frequency_centres"](foreground=0.0)
    code = centre_codes(labels, FREQUENCIES)
    assert objective.terms({"1": code}, Targets.of_labels(labels))["regression"] == 0
    assert (
        objective.terms({"1": code.roll(1, dims=3)}, Targets.of_labels(labels))["regression"] > 0.1
    )


def test_the_background_has_no_target_unless_asked():
    labels = torch.tensor([[[0, 0, 1, 1]]])
    code = centre_codes(labels, FREQUENCIES)
    wrong = code + 5 * (labels == 0)
    for background in (False, True):
        objective = OBJECTIVES["frequency_centres"](background=background, foreground=0.0)
        assert (
            objective.terms({"1": wrong}, Targets.of_labels(labels))["regression"] > 0
        ) == background


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    labels = torch.tensor([[[0, 1, 1], [2, 2, -1]]])
    objective = OBJECTIVES["frequency_centres"](foreground=0.0, frequencies=(2.0,))
    embedding = torch.randn(1, 4, 2, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: objective.terms({"1": x}, Targets.of_labels(labels))["regression"], embedding
    )


def test_a_constant_output_is_drawn_to_the_codes():
    labels = torch.tensor([[[1, 1, 2, 2]]])
    objective = OBJECTIVES["frequency_centres"](foreground=0.0, gain=1.0)
    embedding = torch.full((1, 16, 1, 4), 2.0, requires_grad=True)
    objective.terms({"1": embedding}, Targets.of_labels(labels))["regression"].backward()
    # above every code, each value is drawn down by w / (pixels times channels)
    expected = torch.full((1, 16, 1, 4), 1 / math.log(2) / 64)
    torch.testing.assert_close(embedding.grad, expected)
