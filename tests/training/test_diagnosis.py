import pytest
import torch

from maskspace.heads import Level, Queries
from maskspace.objectives import OBJECTIVES
from maskspace.targets import Targets
from maskspace.training.diagnosis import (
    active_share,
    instance_spread,
    output_figures,
    term_figures,
    without_position,
)
from maskspace.training.monitors import collapse_verdict


def halves(size=8):
    labels = torch.ones(2, size, size, dtype=torch.long)
    labels[:, :, size // 2 :] = 2
    return labels


def test_active_is_the_share_of_pixels_that_a_term_moves_alike():
    labels, gradient = halves(), torch.zeros(2, 3, 8, 8)
    assert active_share(gradient, labels) == 0
    gradient[:, 1] = -0.3
    assert active_share(gradient, labels) == pytest.approx(1)
    gradient[:, 1, :4] = 0
    assert active_share(gradient, labels) == pytest.approx(0.5)
    gradient[:, :, :, :4] *= 1e-3  # a smaller instance's mean weighs differently; no matter
    assert active_share(gradient, labels) == pytest.approx(0.5)


def test_pixels_of_which_nothing_is_known_are_not_counted():
    labels, gradient = halves(), torch.ones(2, 3, 8, 8)
    labels[:, :4] = -1
    gradient[:, :, :4] = 0
    assert active_share(gradient, labels) == pytest.approx(1)


def test_instances_far_apart_have_a_large_ratio_and_their_distance():
    generator = torch.Generator().manual_seed(0)
    labels, noise = halves(), torch.rand(2, 3, 8, 8, generator=generator)
    ratio, distance = instance_spread(noise, labels)
    assert ratio < 0.2
    apart, far = instance_spread(noise * 0.01 + (labels == 2)[:, None] * 2.0, labels)
    assert apart > 1e3
    assert far == pytest.approx(2 * 3**0.5, rel=0.01)
    assert distance < 0.3


def test_the_ratio_is_that_of_a_loop():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(1, 2, 6, 6, generator=generator, dtype=torch.double)
    labels = torch.randint(-1, 4, (1, 6, 6), generator=generator)
    pixels, own = x[0].flatten(1).T, labels.flatten()
    pixels, own = pixels[own > 0], own[own > 0]
    means = torch.stack([pixels[own == k].mean(0) for k in own])
    within = (pixels - means).square().sum(1).mean()
    between = (means - pixels.mean(0)).square().sum(1).mean()
    assert instance_spread(x, labels)[0] == pytest.approx(float(between / within))


def test_one_instance_or_none_has_no_ratio():
    for value in (0, 1):
        ratio, distance = instance_spread(torch.rand(1, 3, 4, 4), torch.full((1, 4, 4), value))
        assert ratio == distance == 0


def test_positions_that_a_head_adds_are_no_spread():
    constant = torch.full((1, 2, 4, 4), 0.3)
    x, y = torch.meshgrid(torch.arange(4) + 0.5, torch.arange(4) + 0.5, indexing="xy")
    place = torch.stack([x, y])[None] / 8
    add = Level(channels=2, position="add", unit=8.0)
    concat = Level(channels=2, position="concat", unit=8.0)
    torch.testing.assert_close(without_position(constant + place, add), constant)
    joined = torch.cat([constant, place], dim=1)
    torch.testing.assert_close(without_position(joined, concat), constant)
    assert output_figures({"1": constant + place}, halves(4)[:1], heads={"1": add})["std/1"] < 1e-6


def test_offsets_to_the_centres_are_no_collapse_however_large_their_unit():
    labels = halves()
    x, y = torch.meshgrid(torch.arange(8) + 0.5, torch.arange(8) + 0.5, indexing="xy")
    centre = torch.stack([torch.where(x < 4, 2.0, 6.0), torch.full_like(x, 4.0)])
    perfect = {"1": (centre / 1023).expand(2, -1, -1, -1)}
    head = Level(channels=2, position="add", unit=1023.0)
    figures = output_figures(perfect, labels, heads={"1": head})
    assert figures["std/1"] > 1  # pixels
    assert collapse_verdict({**figures, "gradient": 1.0, "loss": 1.0}) is None
    flat = {"1": torch.stack([x, y]).expand(2, -1, -1, -1) / 1023}
    figures = output_figures(flat, labels, heads={"1": head})
    assert "constant" in (collapse_verdict({**figures, "gradient": 1.0, "loss": 1.0}) or "")


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_has_finite_figures_and_its_outputs_are_left_alone(name):
    objective = OBJECTIVES[name]()
    torch.manual_seed(0)
    outputs = {}
    for head, made in objective.heads.items():
        if isinstance(made, Queries):
            outputs[head] = torch.rand(2, made.number, made.channels)
            continue
        side, width = -(-8 // made.stride), made.channels + 2 * (made.position == "concat")
        outputs[head] = torch.rand(2, width, side, side)
    before = {head: x.clone() for head, x in outputs.items()}
    with torch.inference_mode():
        figures = term_figures(objective, outputs, Targets.of_labels(halves()))
        figures |= output_figures(outputs, halves(), heads=objective.heads)
    assert all(value == value and abs(value) < float("inf") for value in figures.values())
    assert all(0 <= v <= 1 + 1e-9 for k, v in figures.items() if k.startswith("active"))
    assert all(torch.equal(before[head], x) for head, x in outputs.items())
    assert figures["gradient"] > 0
