import numpy as np
import pytest
import torch

from maskspace.partition.watershed_cut import watershed_cut
from tests.partition.scenes import perfect_energy, perfect_outputs, same_partition, touching


@pytest.mark.parametrize("energy", [0, 1, 2, 3])
@pytest.mark.parametrize("expected", [False, True])
def test_touching_instances_come_apart_at_any_cut_but_none(energy, expected):
    true = touching((60, 61))
    found = watershed_cut(
        perfect_outputs(true, heads=("energy",)), energy=energy, expected=expected
    )
    if energy == 0:
        assert len(found.scores) == 1
    else:
        assert same_partition(found.labels, true)


def test_holes_are_filled_and_specks_dropped():
    true = np.zeros((40, 40), np.int64)
    true[5:30, 5:30] = 1
    true[33:36, 33:38] = 2  # 15 pixels
    logits = perfect_energy(true).astype(np.float32)
    logits[:, 15, 15] = 20.0 * (np.arange(16) == 0)  # the network sees a hole
    found = watershed_cut({"energy": torch.from_numpy(logits)}, min_area=16)
    assert same_partition(found.labels, np.where(true == 1, 1, 0))


def test_what_is_never_deep_is_an_instance_unless_it_touches_one_that_is():
    true = np.zeros((20, 40), np.int64)
    true[9:11] = 1
    outputs = perfect_outputs(true, heads=("energy",))
    assert same_partition(watershed_cut(outputs).labels, true)
    assert not watershed_cut(outputs, shallow=False).labels.any()
    true[:9, :9] = 2  # its neighbour takes what it reaches, and the line is no instance of its own
    found = watershed_cut(perfect_outputs(true, heads=("energy",)))
    assert len(found.scores) == 1 and found.labels[:9, :9].all()


def test_a_core_of_few_pixels_is_noise():
    true = np.zeros((30, 30), np.int64)
    true[4:26, 4:26] = 1
    logits = perfect_energy(true).astype(np.float32)
    logits[:, 9:12] = np.where(np.arange(16) == 1, 20.0, 0.0)[:, None, None] * (true[9:12] > 0)
    # three shallow rows part it in two cores, of at most 4 x 20 pixels and of more than 100
    outputs = {"energy": torch.from_numpy(logits)}
    assert len(watershed_cut(outputs, min_core=1).scores) == 2
    assert len(watershed_cut(outputs, min_core=100).scores) == 1


def test_an_energy_is_one_of_the_bins():
    with pytest.raises(ValueError, match=r"energy is a bin in 0\.\.14 of 16; got 15"):
        watershed_cut({"energy": torch.zeros(16, 4, 4)}, energy=15)
