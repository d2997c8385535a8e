import numpy as np
import pytest
import torch

from maskspace.partition.mean_shift import densest, mean_shift, shift, spread_seeds
from tests.partition.scenes import same_partition


def blobs(seed=0, number=60, channels=3):
    generator = torch.Generator().manual_seed(seed)
    centres = 2 * torch.randn((4, channels), generator=generator)
    which = torch.randint(0, 4, (number,), generator=generator)
    return centres[which] + 0.1 * torch.randn((number, channels), generator=generator)


def one_by_one(seed, points, bandwidth, kernel, steps):
    """Mean shift by a plain loop, in double precision."""
    at = seed.astype(np.float64)
    for _ in range(steps):
        squared = ((points - at) ** 2).sum(1)
        weights = (
            squared <= bandwidth**2 if kernel == "flat" else np.exp(-squared / 2 / bandwidth**2)
        )
        at = (weights[:, None] * points).sum(0) / weights.sum()
        if kernel == "von_mises_fisher":
            at = at / np.linalg.norm(at)
    return at


@pytest.mark.parametrize("kernel", ["gaussian", "flat", "von_mises_fisher"])
def test_the_shift_is_that_of_a_plain_loop(kernel):
    points = blobs()
    if kernel == "von_mises_fisher":
        points = torch.nn.functional.normalize(points, dim=1)
    found = shift(points, points, bandwidth=0.5, kernel=kernel, steps=7)
    wide = points.numpy().astype(np.float64)
    expected = [one_by_one(seed, wide, 0.5, kernel, 7) for seed in wide]
    assert np.allclose(found.numpy(), expected, atol=1e-4)


def test_instances_are_those_of_shifting_every_pixel():
    points = blobs(seed=3, number=400)
    wide = points.numpy().astype(np.float64)
    modes = np.array([one_by_one(seed, wide, 0.4, "gaussian", 50) for seed in wide])
    same = np.linalg.norm(modes[:, None] - modes[None], axis=2) < 0.1
    true = 1 + same.argmax(1)
    found = mean_shift({"1": points.T.reshape(3, 20, 20)}, bandwidth=0.4, min_area=1)
    assert same_partition(found.labels, true.reshape(20, 20))


def test_seeds_hold_what_is_small():
    points = torch.zeros(1000, 2)
    points[417] = torch.tensor([5.0, 5.0])
    seeds = spread_seeds(points, 10)
    assert len(seeds) == 10
    assert (seeds == points[417]).all(1).any()


def test_a_mode_within_a_bandwidth_of_a_denser_one_goes():
    points = torch.tensor([[0.0], [0.0], [0.0], [0.9], [3.0]])
    modes = torch.tensor([[3.0], [0.9], [0.0]])
    kept = densest(modes, points, bandwidth=1.0, kernel="gaussian")
    assert modes[kept].ravel().tolist() == [0.0, 3.0]


def test_pixels_out_of_reach_belong_to_none():
    embedding = torch.zeros(1, 4, 8)
    embedding[0, 0, 0] = 3.0
    found = mean_shift({"1": embedding}, bandwidth=1.0, min_area=2)
    assert found.labels[0, 0] == 0
    assert found.labels.max() == 1
    assert found.scores.tolist() == pytest.approx([1.0])


def test_large_coordinates_lose_no_precision():
    embedding = torch.zeros(2, 16, 16)
    embedding[0, :, 8:] = 1.0
    found = mean_shift({"1": embedding + 3000}, bandwidth=0.3)
    assert found.labels.max() == 2


@pytest.mark.parametrize("options", [{"bandwidth": 0.0}, {"bandwidth": 1.0, "seeds": 0}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="mean_shift: bandwidth is above 0"):
        mean_shift({"1": torch.zeros(1, 2, 2)}, **options)
