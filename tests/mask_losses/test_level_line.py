"""Laws of the level-line loss: thresholds, bands, gradients, nests of different sizes."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from maskspace.data.readers.scenes import draw_scene
from maskspace.mask_losses import MASK_LOSSES, cut_levels, level_line
from maskspace.masks import nested_chain

NAMES = sorted(MASK_LOSSES)
#: Overlaps of probabilities, which are not least where every mask is a level set.
OVERLAPS = ["dice", "lovasz_sigmoid", "soft_iou"]


def logit(level):
    return math.log(level / (1 - level))


def nest_of(ranks, number):
    """The masks of a map of ranks: a pixel of rank r is in the coarsest r of so many masks."""
    return torch.stack([(ranks > number - k).float() for k in range(1, number + 1)], dim=1)


def bands_of(ranks, number, *, outside=6.0):
    """Logits in the middle of each rank's band, and well beyond the thresholds at both ends."""
    cuts = [-outside, *(logit(t) for t in reversed(cut_levels(number))), outside]
    middles = torch.tensor([(low + high) / 2 for low, high in pairwise(cuts)])
    return middles[ranks]


def reference(base, logits, nest):
    """The definition: image by image, level by level."""
    images = []
    for z, masks in zip(logits, nest, strict=True):
        real = [mask for mask in masks if (mask >= 0).any()]
        levels = cut_levels(len(real))
        values = [
            base(z[None] - logit(t), mask[None]) for t, mask in zip(levels, real, strict=True)
        ]
        images += [torch.stack(values).mean()] if values else []
    return torch.stack(images).mean() if images else torch.zeros(())


@pytest.fixture
def batch():
    """Four images of 3, 1, 0 and 2 masks with unknown pixels, padded to 4."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(4, 7, 9, generator=generator)
    nest = torch.full((4, 4, 7, 9), -1.0)
    for image, number in enumerate((3, 1, 0, 2)):
        ranks = torch.randint(0, number + 1, (1, 7, 9), generator=generator)
        nest[image, :number] = nest_of(ranks, number)[0] if number else -1
    nest[0, 1, :2] = -1
    return logits, nest


def test_levels_are_evenly_spaced_and_the_finest_is_highest():
    assert cut_levels(1) == (0.5,)
    assert cut_levels(3) == (0.75, 0.5, 0.25)
    assert cut_levels(0) == ()
    for number in range(1, 9):
        steps = np.diff([0.0, *reversed(cut_levels(number)), 1.0])
        np.testing.assert_allclose(steps, 1 / (number + 1))


@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradient_equal_the_loop_over_images_and_levels(name, batch):
    logits, nest = batch[0].requires_grad_(), batch[1]
    ours, theirs = (form(MASK_LOSSES[name], logits, nest) for form in (level_line, reference))
    torch.testing.assert_close(ours, theirs)
    (one,), (other,) = (torch.autograd.grad(value, logits) for value in (ours, theirs))
    torch.testing.assert_close(one, other)
    assert (one[2] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_of_one_mask_an_image_it_is_exactly_the_base(name):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 6, 7, generator=generator)
    truth = torch.randint(-1, 2, (3, 6, 7), generator=generator).float()
    base = MASK_LOSSES[name]
    assert level_line(base, logits, truth[:, None]) == base(logits, truth)


@pytest.mark.parametrize("name", NAMES)
def test_padding_wherever_it_stands_and_the_order_of_images_do_not_matter(name, batch):
    logits, nest = batch
    value = level_line(MASK_LOSSES[name], logits, nest)
    padding = torch.full_like(nest[:, :1], -1)
    for padded in (
        torch.cat([nest, padding], dim=1),
        torch.cat([padding, nest], dim=1),
        torch.cat([nest[:, :1], padding, nest[:, 1:]], dim=1),
    ):
        torch.testing.assert_close(level_line(MASK_LOSSES[name], logits, padded), value)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(level_line(MASK_LOSSES[name], logits[order], nest[order]), value)
    kept = torch.tensor([0, 1, 3])  # the image without a mask takes no part
    torch.testing.assert_close(level_line(MASK_LOSSES[name], logits[kept], nest[kept]), value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [0, 2])
def test_a_batch_without_a_mask_costs_exactly_nothing(name, levels):
    logits = torch.randn(2, 4, 5, requires_grad=True)
    value = level_line(MASK_LOSSES[name], logits, torch.full((2, levels, 4, 5), -1.0))
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("name", ["hinge", "lovasz_hinge"])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_hinges_are_zero_exactly_where_every_mask_is_a_level_set_with_the_margin(name, number):
    ranks = torch.arange(number + 1).repeat(1, 6, 2)
    nest, logits = nest_of(ranks, number), bands_of(ranks, number)
    cuts = [logit(t) for t in cut_levels(number)]
    steps = [high - low for high, low in pairwise(cuts)]
    margin = 0.499 * min([*steps, 4.0])

    def loss(z):
        return level_line(lambda z, m, w=None: MASK_LOSSES[name](z, m, w, margin=margin), z, nest)

    assert loss(logits) == 0
    for pixel in range(number + 1):
        for step in (-1.0, 1.0):
            moved = logits.clone()
            moved[0, 0, pixel] += step * 1.01 * (6 + max(steps, default=0))
            beyond = (pixel, step) in {(0, -1.0), (number, 1.0)}
            assert (loss(moved) == 0) == beyond


def least(rank, number):
    """The logit at which a pixel of this rank costs least in likelihood, by a scan of its slope."""
    scan = torch.linspace(-8, 8, 3201).view(1, 1, -1).requires_grad_()
    nest = nest_of(torch.full((1, 1, 3201), rank), number)
    cost = level_line(MASK_LOSSES["cross_entropy"], scan, nest)
    (slope,) = torch.autograd.grad(cost, scan)
    assert (slope.diff() > 0).all()
    return scan.flatten()[slope.abs().argmin()]


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_the_likelihood_is_least_between_the_thresholds_of_its_neighbours(number):
    cuts = [-math.inf, *(logit(t) for t in reversed(cut_levels(number))), math.inf]
    for rank in range(number + 1):
        assert cuts[rank] < least(rank, number) < cuts[rank + 1]


def test_of_five_masks_the_likelihood_draws_the_outer_rings_further_out():
    assert least(4, 5) > logit(cut_levels(5)[0])
    assert logit(cut_levels(5)[2]) < least(3, 5) < logit(cut_levels(5)[1])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_push_a_ring_between_its_two_thresholds(name):
    """Pixels of the second mask and not of the first: down from above, up from below."""
    ranks = torch.tensor([0, 0, 1, 1, 2, 2]).repeat(1, 4, 1)
    nest, ring = nest_of(ranks, 2), ranks == 1
    first, second = (logit(t) for t in cut_levels(2))
    for place, sign in ((first + 1.5, 1), (second - 1.5, -1)):
        logits = torch.where(ring, place, bands_of(ranks, 2)).requires_grad_()
        (gradient,) = torch.autograd.grad(level_line(MASK_LOSSES[name], logits, nest), logits)
        assert (gradient[ring] * sign > 0).all()


def test_half_precision_is_shifted_in_float32(batch):
    logits, nest = batch[0].bfloat16(), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = level_line(MASK_LOSSES["cross_entropy"], logits, nest)
    expected = level_line(MASK_LOSSES["cross_entropy"], logits.float(), nest)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, expected)


def fitted(name, start, nest):
    """Logits after 300 steps down the gradient of the level-line loss; no network."""
    logits = start.clone().requires_grad_()
    descent = torch.optim.Adam([logits], lr=0.1)
    for _ in range(300):
        descent.zero_grad()
        level_line(MASK_LOSSES[name], logits, nest).backward()
        descent.step()
    return logits.detach()


def level_ious(logits, masks):
    """IoU of each mask of one image with the logits cut at its level."""
    found = [logits.sigmoid() > level for level in cut_levels(len(masks))]
    return [
        float((cut & mask).sum() / (cut | mask).sum())
        for cut, mask in zip(found, masks, strict=True)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_overlaps_of_probabilities_give_up_a_mask_and_the_others_keep_it(name):
    """Between thresholds a logit apart no pixel is sure, and an overlap sums what is unsure."""
    ranks = torch.zeros(1, 40, 40, dtype=torch.long)
    for side in (32, 16, 5):
        ranks[:, :side, :side] += 1
    nest, nested = nest_of(ranks, 3), bands_of(ranks, 3)
    logits = fitted(name, nested, nest)
    assert (min(level_ious(logits[0], nest[0] > 0)) < 0.8) == (name in OVERLAPS)
    if name in OVERLAPS:
        right, left = (level_line(MASK_LOSSES[name], z, nest) for z in (nested, logits))
        assert left < right


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(OVERLAPS)))
def test_free_logits_fitted_to_scenes_hold_every_mask_at_its_level(name):
    """Nested scenes, the chain of masks about one pixel of each, from a constant output."""
    rng = np.random.default_rng(0)
    chains = []
    while len(chains) < 6:
        _, masks = draw_scene(rng, (64, 64), objects=(2, 3), texture=0.0)
        row, column = np.argwhere(masks.sum(0) == masks.sum(0).max())[0]
        chain, _ = nested_chain(masks[masks[:, row, column]])
        chains += [torch.from_numpy(chain)] if len(chain) > 1 else []
    nest = torch.full((len(chains), max(map(len, chains)), 64, 64), -1.0)
    for image, chain in enumerate(chains):
        nest[image, : len(chain)] = chain.float()
    logits = fitted(name, torch.zeros(len(chains), 64, 64), nest)
    for z, chain in zip(logits, chains, strict=True):
        assert min(level_ious(z, chain)) >= 0.9


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_on_the_gpu_are_those_on_the_cpu(name, batch):
    logits, nest = batch
    found = []
    for device in ("cpu", "cuda"):
        leaf = logits.detach().to(device, copy=True).requires_grad_()
        value = level_line(MASK_LOSSES[name], leaf, nest.to(device))
        value.backward()
        found.append((value.detach().cpu(), leaf.grad.cpu()))
    torch.testing.assert_close(*found)
