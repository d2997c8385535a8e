import torch

from maskspace.partition.modes import evenly_spaced, nearest_mode, squared_distances


def test_samples_are_all_or_as_many_as_wanted():
    assert evenly_spaced(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly_spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert evenly_spaced(0, 4).tolist() == []


def test_squared_distances_are_those_of_pairs():
    generator = torch.Generator().manual_seed(0)
    points, others = (torch.randn((n, 5), generator=generator) for n in (7, 4))
    expected = (points[:, None] - others[None]).square().sum(2)
    assert torch.allclose(squared_distances(points, others), expected, atol=1e-5)


def test_the_nearest_mode_is_the_first_of_equal_ones():
    modes = torch.tensor([[1.0], [-1.0], [4.0]])
    index, distance = nearest_mode(torch.tensor([[0.0], [3.0], [4.0]]), modes)
    assert index.tolist() == [0, 2, 2]
    assert distance.tolist() == [1.0, 1.0, 0.0]
