import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks as algebra
from maskspace.data.expectations import measures
from maskspace.data.expectations.measures import measure
from maskspace.types import Annotation

stacks = arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8)))


def annotations_of(stack: np.ndarray, layers=None, parents=None) -> list[Annotation]:
    boxes, areas = algebra.boxes_xywh(stack), algebra.areas(stack)
    return [
        Annotation(
            id=i + 1,
            counts=counts,
            area=int(areas[i]),
            box_xywh=tuple(boxes[i].tolist()),
            layer=0 if layers is None else layers[i],
            parent=None if parents is None else parents[i],
        )
        for i, counts in enumerate(algebra.encode(stack))
    ]


@given(stacks, st.data())
def test_measures_are_those_of_the_dense_masks(stack: np.ndarray, draw) -> None:
    number = len(stack)
    layers = draw.draw(st.lists(st.integers(0, 1), min_size=number, max_size=number))
    parents = draw.draw(
        st.lists(st.none() | st.integers(1, number), min_size=number, max_size=number)
    )
    found = measure(annotations_of(stack, layers, parents), stack.shape[1:], near_iou=0.6)
    columns, area = found.masks, algebra.areas(stack)
    assert columns["fits"].all() and columns["canonical"].all()
    np.testing.assert_array_equal(columns["counted_area"], area)
    np.testing.assert_array_equal(columns["has_outside"], area < stack[0].size)
    shared = algebra.pairwise_intersections(stack, stack)
    iou = algebra.pairwise_iou(stack, stack)
    for i, parent in enumerate(parents):
        if parent is not None and area[i] and area[parent - 1]:
            expected = shared[i, parent - 1] / area[i]
            assert columns["inside_parent"][i] == pytest.approx(expected, abs=1e-12)
            assert columns["parent_is_larger"][i] == (area[parent - 1] > area[i])
    solid = [i for i in range(number) if area[i]]
    for i in solid:
        equal = [j for j in solid if j < i and layers[j] == layers[i] and iou[i, j] == 1]
        assert columns["copy_of"][i] == (equal[0] + 1 if equal else -1)
    first = [i for i in solid if columns["copy_of"][i] < 0]
    for i in first:
        near = [j + 1 for j in first if j < i and layers[j] == layers[i] and iou[i, j] >= 0.6]
        got = columns["near_copy_of"][i]
        assert got in near if near else got == -1
    unions = [
        stack[[i for i in solid if layers[i] == k]].any(0).sum() for k in {layers[i] for i in solid}
    ]
    assert found.overlap == area.sum() - sum(unions)
    assert found.coverage == pytest.approx(min(unions, default=0) / stack[0].size)


@pytest.mark.parametrize(
    ("parents", "depth"),
    [([None], 1), ([None, 1, 2, 3], 4), ([2, 3, None, None], 3), ([2, 1], 0), ([1], 0), ([9], 1)],
)
def test_depth_is_the_longest_chain_and_circles_are_seen(parents, depth: int) -> None:
    stack = np.ones((len(parents), 4, 4), bool)
    found = measure(annotations_of(stack, parents=parents), (4, 4), near_iou=1.0)
    assert (found.depth, found.nest_ends) == (depth, depth > 0)
    assert found.masks["parent_known"].all() == (parents != [9])


def test_what_does_not_fit_is_held_to_be_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    good = annotations_of(np.eye(4, dtype=bool)[None])
    bad = Annotation(id=2, counts="not runs", area=3, box_xywh=(0, 0, 1, 1))
    monkeypatch.setattr(measures, "_CHARACTERS", 4)  # several blocks
    found = measure([good[0], bad, *good, bad], (4, 4), near_iou=1.0).masks
    assert found["fits"].tolist() == [True, False, True, False]
    assert found["counted_area"].tolist() == [4, 3, 4, 3]
    assert found["canonical"].all()


def test_many_masks_of_one_size_take_no_square_of_memory() -> None:
    side = 200
    stack = np.zeros((1000, side, side), bool)
    index = np.arange(1000)
    stack[index, index // 100 * 2, index % 100 * 2] = True
    found = measure(annotations_of(stack), (side, side), near_iou=0.9)
    assert (found.masks["near_copy_of"] == -1).all() and found.overlap == 0
