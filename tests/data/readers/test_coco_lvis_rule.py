from itertools import permutations

import numpy as np
import pytest

from maskspace.data.annotations import Coded
from maskspace.data.readers.coco_lvis_rule import intersections, parents_by_overlap, unite, without
from maskspace.data.readers.scenes import draw_scene
from maskspace.masks import decode, encode

SIZE = (40, 50)


def coded(strings: list[str]) -> list[Coded]:
    """Return masks, each with a category of its own."""
    return [Coded(counts=one, category=number) for number, one in enumerate(strings)]


def counts(masks: list[Coded]) -> list[str]:
    return [one.counts for one in masks]


def boxes(*places: tuple[int, int, int, int]) -> list[str]:
    """Return the strings of rectangles, given as top, bottom, left, right."""
    masks = np.zeros((len(places), *SIZE), bool)
    for mask, (top, bottom, left, right) in zip(masks, places, strict=True):
        mask[top:bottom, left:right] = True
    return encode(masks)


def test_intersections_are_those_of_the_dense_masks() -> None:
    masks = np.random.default_rng(0).random((9, *SIZE)) < 0.3
    masks[4] = False
    flat = masks.reshape(9, -1).astype(int)
    strings = encode(masks)
    assert (intersections(strings, strings[:5], SIZE) == flat @ flat[:5].T).all()
    assert intersections([], strings, SIZE).shape == (0, 9)


def reference_parents(masks: np.ndarray) -> list[int | None]:
    """The rule as it is written, mask by mask."""
    order = sorted(range(len(masks)), key=lambda i: (masks[i].sum(), i))
    parents: list[int | None] = []
    for i, mask in enumerate(masks):
        larger = order[order.index(i) + 1 :]
        parents.append(next((j for j in larger if holds(masks[j], mask)), None))
    return parents


def holds(large: np.ndarray, small: np.ndarray) -> bool:
    rows, columns = np.nonzero(small)
    box = np.zeros_like(small)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    rows, columns = np.nonzero(large)
    other = np.zeros_like(small)
    other[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    inside = (large & small).sum() / small.sum()
    return bool(inside > 0.8 and (box & other).sum() / box.sum() >= 0.7)


@pytest.mark.parametrize("seed", range(4))
def test_a_parent_is_the_smallest_larger_mask_that_holds_most_of_its_part(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, masks = draw_scene(rng, (48, 64), objects=(3, 6), texture=0.0)
    noisy = masks ^ ((rng.random(masks.shape) < 0.12) & masks)
    noisy = noisy[noisy.any(axis=(1, 2))]
    for some in (masks, noisy):
        assert parents_by_overlap(encode(some), (48, 64)) == reference_parents(some)


def test_equal_masks_nest_once_and_never_in_a_circle() -> None:
    strings = boxes((0, 9, 0, 9), (0, 9, 0, 9), (0, 20, 0, 20), (0, 9, 0, 9))
    assert parents_by_overlap(strings, SIZE) == [1, 3, None, 2]
    assert parents_by_overlap([], SIZE) == []


def united(things: list[str], lvis: list[str], size_hw: tuple[int, int]) -> list[str]:
    """Return what is united, after a check that each mask keeps its own category."""
    found = unite(coded(things), coded(lvis), size_hw)
    assert all(one in coded(things) + coded(lvis) for one in found)
    return counts(found)


def left_of(
    strings: list[str], removed: list[str], size_hw: tuple[int, int], *, above: int
) -> list[str]:
    """Return what is left, after a check that each rest has the category of its whole."""
    found = without(coded(strings), coded(removed), size_hw, above=above)
    for one in found:
        whole = decode([strings[one.category]], size_hw)[0]
        assert not (decode([one.counts], size_hw)[0] & ~whole).any()
    return counts(found)


def test_a_thing_that_lvis_has_too_is_counted_once() -> None:
    same, near, other, small = (5, 25, 5, 25), (5, 25, 6, 26), (0, 9, 30, 40), (0, 7, 0, 11)
    assert united(boxes(same), boxes(same), SIZE) == boxes(same)
    assert united(boxes(same), boxes(near), SIZE) == boxes(near)
    assert united(boxes(same), boxes(other), SIZE) == boxes(same, other)
    # 77 pixels are below 80; a mask alone stays what it is
    assert united(boxes(small, other), boxes(small), SIZE) == boxes(other)
    assert united([], [], SIZE) == []


def test_of_near_equal_masks_of_lvis_the_last_stays() -> None:
    first, second, third = (5, 25, 5, 25), (5, 25, 5, 26), (5, 25, 5, 30)
    for order in permutations((first, second)):
        assert united([], boxes(*order), SIZE) == boxes(order[1])
    assert united([], boxes(first, third), SIZE) == boxes(first, third)  # IoU 0.8


def test_masks_of_the_same_box_but_other_pixels_both_stay() -> None:
    mask = np.zeros((2, *SIZE), bool)
    rows, columns = np.mgrid[:30, :30]
    mask[0, :30, :30], mask[1, :30, :30] = rows >= columns, rows <= columns
    strings = encode(mask)
    assert united(strings[:1], strings[1:], SIZE) == strings


def test_stuff_is_what_the_instances_leave() -> None:
    stuff = boxes((0, 20, 0, 50), (20, 40, 0, 50))
    rest = left_of(stuff, boxes((10, 40, 0, 50)), SIZE, above=0)
    assert decode(rest, SIZE).sum() == 500 and rest == boxes((0, 10, 0, 50))
    assert left_of(stuff, boxes((10, 40, 0, 50)), SIZE, above=500) == []
    assert left_of(stuff, [], SIZE, above=999) == stuff
    assert left_of([], stuff, SIZE, above=0) == []
