import numpy as np
import pytest
import torch

from maskspace.partition.centre_votes import (
    centre_votes,
    mean_direction,
    ray_votes,
    target_votes,
    vote_peaks,
)
from tests.partition.scenes import disjoint, perfect_outputs, touching


def test_bins_are_angles_from_x_towards_y():
    logits = 50.0 * torch.eye(8)[:, :, None]
    x, y = mean_direction(logits)[:, :, 0]
    half = 0.5**0.5
    assert torch.allclose(x, torch.tensor([1, half, 0, -half, -1, -half, 0, half]), atol=1e-6)
    assert torch.allclose(y, torch.tensor([0, half, 1, half, 0, -half, -1, -half]), atol=1e-6)


def test_two_equal_bins_point_between_them():
    logits = torch.full((8, 1, 1), -50.0)
    logits[:2] = 0.0
    x, y = mean_direction(logits)[:, 0, 0].tolist()
    assert np.arctan2(y, x) == pytest.approx(np.pi / 8)


def test_votes_are_those_of_a_plain_loop():
    rng = np.random.default_rng(0)
    places = rng.integers(0, 9, (20, 2)).astype(np.float32)
    angle = rng.random(20) * 2 * np.pi
    ways = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    expected = np.zeros((8, 9, 11))
    for place, way in zip(places, ways, strict=True):
        bins = round(np.arctan2(way[1], way[0]) / (np.pi / 4)) % 8
        for length in range(1, 7):
            x, y = np.round(place + np.float32(length) * way).astype(int)
            if 0 <= x < 11 and 0 <= y < 9:
                expected[bins, y, x] += 1
    found = ray_votes(torch.from_numpy(places), torch.from_numpy(ways), (9, 11), reach=6)
    assert (found.numpy() == expected).all()


def test_targets_outside_count_at_the_edge():
    votes = target_votes(torch.tensor([[-3.0, 1.2], [0.4, 0.9], [9.0, 9.0]]), (3, 4))
    assert votes[0, 1, 0] == 2
    assert votes[0, 2, 3] == 1


def test_peaks_are_apart():
    votes = torch.zeros(1, 20, 20)
    votes[0, 5, 5], votes[0, 5, 9], votes[0, 15, 15], votes[0, 0, 19] = 50.0, 40.0, 30.0, 5.0
    rules = {"tolerance": 2, "min_votes": 16.0, "share": 0.5, "limit": 9}
    assert vote_peaks(votes, radius=5, **rules).tolist() == [[5, 5], [15, 15]]
    assert vote_peaks(votes, radius=2, **rules).tolist() == [[5, 5], [9, 5], [15, 15]]


@pytest.mark.parametrize("scene", [disjoint, touching])
@pytest.mark.parametrize("size_hw", [(64, 64), (90, 120)])
def test_bins_alone_find_every_centre_and_nearly_every_pixel(scene, size_hw):
    true = scene(size_hw)
    heads = ("direction_bins", "foreground")
    found = centre_votes(perfect_outputs(true, heads=heads), radius=5)
    assert len(found.scores) == len(np.unique(true[true > 0]))
    right = sum(np.bincount(found.labels[true == k]).max() for k in np.unique(true[true > 0]))
    assert right > 0.97 * (true > 0).sum()


def test_noisy_directions_find_nearly_every_pixel():
    true = touching((90, 120))
    outputs = perfect_outputs(true, heads=("direction", "foreground"))
    noise = torch.randn(outputs["direction"].shape, generator=torch.Generator().manual_seed(0))
    outputs["direction"] += 0.1 * noise
    found = centre_votes(outputs, radius=5)
    right = sum(np.bincount(found.labels[true == k]).max() for k in range(1, 7))
    assert right > 0.95 * (true > 0).sum()


def test_offsets_are_in_their_unit():
    true = touching()
    outputs = perfect_outputs(true, heads=("offset", "foreground"))
    halved = {**outputs, "offset": outputs["offset"] / 2}
    assert (
        centre_votes(halved, unit=2.0, radius=5).labels == centre_votes(outputs, radius=5).labels
    ).all()


def test_one_direction_everywhere_has_no_centre():
    outputs = {"direction": torch.tensor([1.0, 0.0])[:, None, None].repeat(1, 40, 40)}
    assert not centre_votes(outputs).labels.any()


def test_the_heads_wanted_are_told():
    with pytest.raises(ValueError, match="one of the heads direction, direction_bins, offset"):
        centre_votes({"1": torch.zeros(3, 4, 4)})
