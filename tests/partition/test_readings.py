from itertools import pairwise

import pytest

from maskspace.config import Choice
from maskspace.partition import DECODERS
from maskspace.partition.readings import SCALES, readings


def test_every_decoder_says_what_it_groups_by():
    assert SCALES.keys() == DECODERS.keys()


def test_a_reading_scales_what_the_decoder_groups_by_and_nothing_else():
    own = Choice(name="mean_shift", options={"bandwidth": 0.2, "kernel": "flat"})
    found = readings(own, [0.5, 1.0, 2.0])
    assert found == {
        "": own,
        "bandwidth=0.1": Choice(name="mean_shift", options={"bandwidth": 0.1, "kernel": "flat"}),
        "bandwidth=0.4": Choice(name="mean_shift", options={"bandwidth": 0.4, "kernel": "flat"}),
    }


@pytest.mark.parametrize("name", sorted(SCALES))
def test_defaults_are_scaled_and_stay_of_their_kind(name):
    own = Choice(name=name, options={"bandwidth": 0.5} if "bandwidth" in SCALES[name] else {})
    found = readings(own, [0.01, 0.5, 2.0])
    assert found[""] == own
    for choice in found.values():
        for option in SCALES[name]:
            value = choice.options.get(option, 1)
            assert value >= 1 if isinstance(value, int) else value > 0
    assert (len(found) == 1) == (not SCALES[name])
    assert all(one != other for one, other in pairwise(found.values()))


def test_a_whole_number_that_does_not_change_is_not_tried():
    own = Choice(name="watershed_cut", options={"energy": 1})
    assert list(readings(own, [0.5, 2.0])) == ["", "energy=2"]
