import itertools

import pytest
import torch

from maskspace.objectives.cut_metric import cut_metric_terms, separating_share

OPTIONS = {"stride": 1, "pairs": 256, "near": 3, "border": 2}


def random_masks(number: int) -> torch.Tensor:
    """Return masks of any kind, as label maps of 0 and 1."""
    generator = torch.Generator().manual_seed(number)
    return torch.randint(0, 2, (1, number, 12, 12), generator=generator)


def exact_vectors(masks: torch.Tensor) -> torch.Tensor:
    return masks.float() / masks.shape[1]


@pytest.mark.parametrize("number", [1, 3, 8])
def test_any_family_of_masks_is_represented_exactly(number):
    masks = random_masks(number)
    terms = cut_metric_terms(exact_vectors(masks), masks, **OPTIONS)
    assert set(terms) == {"cut/far", "cut/near", "cut/border"}
    assert all(float(value) < 1e-10 for value in terms.values())


def test_shares_are_those_of_a_loop():
    masks = random_masks(5)
    first, second = torch.arange(144)[None], torch.arange(144).flip(0)[None]
    share, counts = separating_share(masks, first, second)
    flat = masks.flatten(2)[0]
    for at, (p, q) in enumerate(zip(first[0], second[0], strict=True)):
        assert share[0, at] == pytest.approx(float((flat[:, p] != flat[:, q]).float().mean()))
    assert counts.all()


def test_the_share_is_a_semimetric():
    masks = random_masks(6)
    points = torch.arange(10)
    every = torch.tensor(list(itertools.product(points, points))).T
    share = separating_share(masks, every[:1], every[1:])[0].view(10, 10)
    assert torch.equal(share, share.T) and (share.diagonal() == 0).all()
    triangle = share[:, :, None] + share[None] - share[:, None]
    assert triangle.min() >= -1e-6


def test_it_is_zero_inside_a_region_of_all_and_grows_along_a_nest():
    rings = torch.arange(12).expand(12, 12)
    nest = torch.stack([(rings >= k).long() for k in (3, 6, 9)])[None]
    row = torch.arange(12)[None]
    share, _ = separating_share(nest, torch.zeros_like(row), row)
    assert (share[0, :3] == 0).all() and (share[0].diff() >= 0).all() and share[0, -1] == 1


def test_who_does_not_know_a_pixel_does_not_count():
    masks = random_masks(3)
    unknown = masks.clone()
    unknown[:, 2] = -1
    ends = torch.arange(100)[None], torch.arange(44, 144)[None]
    share, counts = separating_share(unknown, *ends)
    assert torch.equal(share, separating_share(masks[:, :2], *ends)[0]) and counts.all()
    share, counts = separating_share(torch.full_like(masks, -1), *ends)
    assert not counts.any()
    terms = cut_metric_terms(torch.rand(1, 4, 12, 12), torch.full_like(masks, -1), **OPTIONS)
    assert all(value == 0 for value in terms.values())


def test_gradients_lead_to_the_exact_vectors():
    masks = random_masks(4)
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 12, 12, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    losses = []
    for _ in range(150):
        loss = sum(cut_metric_terms(logits.sigmoid(), masks, **OPTIONS).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 5


def test_cells_stand_for_every_second_pixel():
    masks = random_masks(4)
    wide = masks.repeat_interleave(2, 2).repeat_interleave(2, 3)
    options = {**OPTIONS, "stride": 2}
    terms = cut_metric_terms(exact_vectors(masks), wide, **options)
    assert all(float(value) < 1e-10 for value in terms.values())
