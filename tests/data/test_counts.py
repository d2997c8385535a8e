import json
from collections import Counter
from dataclasses import replace

import pytest

from maskspace.data import READERS
from maskspace.data.counts import (
    DEEPEST,
    Counts,
    Tally,
    counts_as_json,
    counts_from_json,
    depths,
)
from maskspace.types import Annotation, Sample


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(READERS["scenes"]("", seed=0, limit=8, size_hw=(48, 64)))  # type: ignore[call-arg]


def counted(samples: list[Sample]) -> Counts:
    tally = Tally()
    for sample in samples:
        tally.add(sample)
    return tally.counts()


def one(number: int, parent: int | None) -> Annotation:
    return Annotation(id=number, counts="", area=1, box_xywh=(0, 0, 1, 1), parent=parent)


def test_counts_are_those_of_a_loop(samples: list[Sample]) -> None:
    found = counted(samples)
    areas = [annotation.area for sample in samples for annotation in sample.annotations]
    assert (found.samples, found.masks) == (len(samples), len(areas))
    for k, number in enumerate(found.areas):
        assert number == sum(2**k <= area < 2 ** (k + 1) for area in areas)
    masks = [len(sample.annotations) for sample in samples]
    for k, number in enumerate(found.masks_an_image):
        assert number == sum(2**k // 2 <= count < 2**k for count in masks)
    assert found.image_bytes == sum(len(sample.image) for sample in samples)
    assert sum(found.sides) == len(samples) and found.sides[7] == len(samples)
    assert sum(found.depths) == len(areas)
    assert found.smallest_hw == found.largest_hw == (48, 64)


def test_counts_of_parts_add_up_in_any_order(samples: list[Sample]) -> None:
    other = replace(samples[0], size_hw=(1000, 2), annotations=())
    every = [*samples, other]
    parts = [counted(every[:3]), counted(every[3:4]), counted(every[4:]), Counts()]
    assert sum(parts, Counts()) == sum(parts[::-1], Counts()) == counted(every)
    assert counted(every).smallest_hw == (1000, 2)


def test_counts_survive_json(samples: list[Sample]) -> None:
    for counts in (Counts(), counted(samples)):
        assert counts_from_json(json.loads(json.dumps(counts_as_json(counts)))) == counts


def test_depth_is_the_number_of_masks_around() -> None:
    chain = [one(1, None), one(2, 1), one(3, 2), one(9, 1), one(4, None)]
    assert depths(chain) == [0, 1, 2, 1, 0]
    long = [one(n, n - 1 or None) for n in range(1, 40)]
    assert Counter(depths(long))[DEEPEST] == 39 - DEEPEST


def test_parents_in_a_circle_or_missing_end() -> None:
    assert depths([one(1, 2), one(2, 1)]) == [DEEPEST, DEEPEST]
    assert depths([one(1, 77)]) == [1]
