import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from maskspace import masks

stacks = arrays(
    bool, st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
)
maps = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))


@given(stacks)
def test_areas_and_boxes_are_cocos(stack):
    np.testing.assert_array_equal(masks.areas(stack), [mask.sum() for mask in stack])
    expected = [
        coco.toBbox(coco.encode(np.asfortranarray(mask.astype(np.uint8)))) for mask in stack
    ]
    np.testing.assert_array_equal(masks.boxes_xywh(stack), np.reshape(expected, (-1, 4)))


@given(stacks, st.integers(0, 4), st.data())
def test_intersections_and_iou_are_counted_pixel_by_pixel(stack, number, data):
    other = data.draw(arrays(bool, (number, *stack.shape[1:]), elements=st.booleans()))
    shared = [[np.count_nonzero(a & b) for b in other] for a in stack]
    union = [[np.count_nonzero(a | b) for b in other] for a in stack]
    shape = (len(stack), number)
    np.testing.assert_array_equal(
        masks.pairwise_intersections(stack, other), np.reshape(shared, shape)
    )
    expected = np.reshape(shared, shape) / np.maximum(np.reshape(union, shape), 1)
    np.testing.assert_array_equal(masks.pairwise_iou(stack, other), expected)


def test_intersections_do_not_depend_on_the_block_they_are_summed_in():
    stack = np.random.default_rng(0).random((3, 2100, 2100)) < 0.5
    expected = [[np.count_nonzero(a & b) for b in stack] for a in stack]
    np.testing.assert_array_equal(masks.pairwise_intersections(stack, stack), expected)


@given(maps)
def test_a_label_map_is_its_masks(labels):
    ids, stack = masks.from_label_map(labels)
    rebuilt = np.zeros_like(labels)
    for label, mask in zip(ids, stack, strict=True):
        rebuilt[mask] = label
    np.testing.assert_array_equal(rebuilt, labels)
    again = masks.to_label_map(stack)
    np.testing.assert_array_equal(np.append(0, ids)[again], labels)


def test_the_finest_mask_of_a_nest_is_seen_ties_to_the_lower_index():
    stack = np.zeros((3, 1, 4), bool)
    stack[0, 0, :] = stack[1, 0, 1:3] = stack[2, 0, 2:4] = True
    np.testing.assert_array_equal(masks.to_label_map(stack), [[1, 2, 2, 3]])
    np.testing.assert_array_equal(masks.to_label_map(stack, priority="first"), [[1, 1, 1, 1]])
    np.testing.assert_array_equal(masks.to_label_map(stack[::-1], priority="first"), [[3, 2, 1, 1]])


@given(
    stacks,
    st.sampled_from(["smallest", "first"]),
)
def test_the_label_map_of_strings_is_that_of_their_masks(stack, priority):
    of_strings = masks.strings_to_label_map(masks.encode(stack), stack.shape[1:], priority=priority)
    np.testing.assert_array_equal(of_strings, masks.to_label_map(stack, priority=priority))


@given(maps)
def test_components_are_4_connected_maximal_and_in_row_major_order(labels):
    split = masks.split_components(labels)
    np.testing.assert_array_equal(split == 0, labels == 0)
    seen = split[split > 0]
    _, first = np.unique(seen, return_index=True)
    assert list(seen[np.sort(first)]) == list(range(1, len(first) + 1))
    expected = _flood(labels)
    pairs = {(int(a), int(b)) for a, b in zip(split.ravel(), expected.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _flood(labels):
    filled = np.zeros(labels.shape, int)
    for number, start in enumerate(np.ndindex(labels.shape), start=1):
        stack = [start] if labels[start] and not filled[start] else []
        while stack:
            row, column = stack.pop()
            if filled[row, column]:
                continue
            filled[row, column] = number
            for near in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                inside = 0 <= near[0] < labels.shape[0] and 0 <= near[1] < labels.shape[1]
                if inside and labels[near] == labels[start]:
                    stack.append(near)
    return filled


@settings(deadline=None)
@given(maps)
def test_splitting_again_changes_nothing(labels):
    split = masks.split_components(labels)
    np.testing.assert_array_equal(masks.split_components(split), split)
