import math

import pytest
import torch

from maskspace.objectives.boundary import (
    border_target,
    boundary_heads,
    boundary_terms,
    enlarged,
    label_borders,
)

OPTIONS = {"tolerance": 2, "border_weight": 4.0, "side_weight": 0.5}


def halves(at: int, size: int = 24) -> torch.Tensor:
    """Return a label map whose columns from `at` on are another region."""
    return (torch.arange(size) >= at).long().expand(size, size)


def test_borders_are_both_pixels_of_a_pair_that_differs():
    borders = label_borders(halves(12)[None, None])[0, 0]
    assert borders[:, 11:13].all() and borders.sum() == 2 * 24


def test_unknown_pixels_have_no_border():
    layers = halves(12).clone()[None, None]
    layers[..., 12] = -1
    assert not label_borders(layers).any()


def test_one_annotator_gives_a_crest_of_one():
    target, known = border_target(halves(12)[None, None], tolerance=2)
    assert known.all() and (target[0, :, 11:13] == 1).all()
    row = target[0, 12]
    assert (row[:9] == 0).all() and (row[15:] == 0).all()
    assert (row[8:12].diff() >= 0).all() and (row[12:16].diff() <= 0).all()


@pytest.mark.parametrize("apart", [0, 1, 2])
def test_misplaced_borders_agree_within_the_tolerance(apart):
    layers = torch.stack([halves(11), halves(11 + apart)])[None]
    target, _ = border_target(layers, tolerance=2)
    assert target[0, 12].max() == 1


def test_a_border_is_as_high_as_the_share_who_see_it():
    layers = torch.stack([halves(12), *[torch.zeros(24, 24).long()] * 3])[None]
    target, _ = border_target(layers, tolerance=2)
    assert target.max() == 0.25
    layers[:, 3] = -1  # who knows nothing does not count
    assert border_target(layers, tolerance=2)[0].max() == pytest.approx(1 / 3)


def test_the_order_of_annotators_and_labels_does_not_matter():
    layers = torch.randint(0, 3, (1, 4, 20, 20), generator=torch.Generator().manual_seed(0))
    target, _ = border_target(layers, tolerance=2)
    other, _ = border_target((5 - layers)[:, [2, 0, 3, 1]], tolerance=2)
    torch.testing.assert_close(target, other)


@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_the_loss_is_least_at_the_target_whatever_a_border_weighs(weight):
    layers = torch.stack([halves(8), halves(8), halves(8), halves(16)])[None]
    target, _ = border_target(layers, tolerance=2)
    best = torch.logit(target.clamp(1e-6, 1 - 1e-6))[:, None].requires_grad_()
    options = {**OPTIONS, "border_weight": weight}
    (loss,) = boundary_terms({"boundary": best}, layers, **options).values()
    (gradient,) = torch.autograd.grad(loss, best)
    assert gradient.abs().max() < 1e-6
    for step in (-0.3, 0.3):
        (worse,) = boundary_terms({"boundary": best + step}, layers, **options).values()
        assert worse > loss


def test_pixels_that_nobody_knows_are_not_counted():
    layers = halves(12).clone()[None, None]
    layers[..., :4] = -1
    logits = torch.full((1, 1, 24, 24), 0.37, requires_grad=True)
    (loss,) = boundary_terms({"boundary": logits}, layers, **OPTIONS).values()
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[..., :4] == 0).all() and (gradient[..., 4:] != 0).all()
    (nothing,) = boundary_terms(
        {"boundary": logits}, torch.full_like(layers, -1), **OPTIONS
    ).values()
    assert nothing == 0


def test_every_head_is_supervised_and_sides_weigh_less():
    layers = halves(12)[None, None]
    heads = boundary_heads()
    outputs = {
        name: torch.zeros(1, 1, *(-(-side // head.stride) for side in (24, 24)))
        for name, head in heads.items()
    }
    terms = boundary_terms(outputs, layers, **OPTIONS)
    assert set(terms) == set(heads)
    for name, value in terms.items():
        assert value == pytest.approx(float(terms["boundary"]) * (0.5 if "/" in name else 1))


def test_enlarging_keeps_cells_on_their_pixels():
    cells = torch.rand(1, 1, 3, 4)
    pixels = enlarged(cells, (11, 14), stride=4)
    assert pixels.shape == (1, 1, 11, 14)
    torch.testing.assert_close(pixels[..., ::4, ::4], cells)
    torch.testing.assert_close(pixels[..., 0, 2], cells[..., 0, :2].mean(-1))
    assert (pixels[..., 9:, 0] == cells[..., 2, 0]).all()
    assert math.isclose(float(pixels.max()), float(cells.max()), rel_tol=1e-6)
