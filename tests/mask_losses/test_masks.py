"""Laws that every entry of the table of mask losses obeys, and of what they share."""

import pytest
import torch

from maskspace.mask_losses import MASK_LOSSES
from maskspace.mask_losses.masks import mean_over_known, mean_over_maps

NAMES = sorted(MASK_LOSSES)
#: Bounded losses and likelihoods, which a very sure right answer brings to 0.
REACHES_ZERO = 1e-3


@pytest.fixture
def maps():
    """Three maps of logits with their truth, a third of it unknown; the last all unknown."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(-1, 2, (3, 9, 8), generator=generator).float()
    truth[2] = -1
    return 2 * torch.randn(3, 9, 8, generator=generator), truth


@pytest.mark.parametrize("name", NAMES)
def test_right_costs_nothing_and_beats_shuffled_and_wrong(name):
    truth = (torch.arange(64).view(1, 8, 8) % 3 == 0).float()
    right = (truth * 2 - 1) * 12
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    shuffled = right.flatten()[order].view_as(right)
    loss = MASK_LOSSES[name]
    assert 0 <= loss(right, truth) < REACHES_ZERO
    assert loss(shuffled, truth) > 0.3
    assert loss(-right, truth) > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_unknown_pixels_change_nothing(name, maps):
    logits, truth = maps
    other = torch.where(truth < 0, 50.0, logits).requires_grad_()
    value = MASK_LOSSES[name](other, truth)
    torch.testing.assert_close(value, MASK_LOSSES[name](logits, truth), atol=0, rtol=0)
    (gradient,) = torch.autograd.grad(value, other)
    assert (gradient[truth < 0] == 0).all()
    assert (gradient[:2].abs().amax((1, 2)) > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_map_of_unknown_pixels_costs_exactly_nothing(name, maps):
    logits = maps[0].clone().requires_grad_()
    value = MASK_LOSSES[name](logits, torch.full_like(logits, -1))
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_is_the_mean_of_its_maps_by_weight(name, maps):
    logits, truth = maps
    loss = MASK_LOSSES[name]
    singles = torch.stack([loss(logits[i : i + 1], truth[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(loss(logits, truth), singles.mean())
    weight = torch.tensor([0.5, 3.0, 0.0])
    expected = (singles * weight).sum() / weight.sum()
    torch.testing.assert_close(loss(logits, truth, weight), expected)
    assert loss(logits, truth, torch.zeros(3)) == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_pixels_does_not_matter(name, maps):
    logits, truth = maps
    flipped = MASK_LOSSES[name](logits.flip(1, 2), truth.flip(1, 2))
    torch.testing.assert_close(MASK_LOSSES[name](logits, truth), flipped)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e2, 1e6])
@pytest.mark.parametrize("fill", [0.0, 1.0, None])
def test_values_and_gradients_are_finite(name, scale, fill, maps):
    noise, truth = maps
    truth = truth if fill is None else torch.full_like(truth, fill)
    for logits in (noise * scale, noise.abs() * scale, torch.zeros_like(noise)):
        logits.requires_grad_()
        value = MASK_LOSSES[name](logits, truth)
        (gradient,) = torch.autograd.grad(value, logits)
        assert value.isfinite()
        assert value >= 0
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name, maps):
    logits, truth = (x[:, :3, :4].double() for x in maps)
    # the normaliser of the focal loss is a constant for the gradient; with it, see its own tests
    options = {"normaliser_gradient": True} if name == "normalised_focal" else {}
    assert torch.autograd.gradcheck(
        lambda z: MASK_LOSSES[name](z, truth, torch.tensor([1.0, 0.5, 2.0]), **options),
        logits.requires_grad_(),
    )


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_summed_in_float32(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 96, 96, generator=generator).bfloat16()
    truth = torch.randint(-1, 2, (2, 96, 96), generator=generator).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = MASK_LOSSES[name](logits, truth)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, MASK_LOSSES[name](logits.float(), truth))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_down_the_gradient_lowers_the_loss(name, maps):
    logits, truth = maps[0].clone().requires_grad_(), maps[1]
    value = MASK_LOSSES[name](logits, truth)
    (gradient,) = torch.autograd.grad(value, logits)
    assert MASK_LOSSES[name](logits - gradient, truth) < value


def test_means_of_nothing_are_zero():
    values = torch.rand(2, 3, 3)
    assert (mean_over_known(values, torch.zeros_like(values, dtype=torch.bool)) == 0).all()
    assert mean_over_maps(values[:0, 0, 0], None) == 0
