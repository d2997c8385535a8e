import numpy as np
import pytest
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


def _chain(stack, containment):
    """The chain by its definition, on plain arrays."""
    levels, indices = [], []
    for index in sorted(range(len(stack)), key=lambda i: stack[i].sum()):
        top = levels[-1] if levels else np.zeros_like(stack[index])
        held = (stack[index] & top).sum()
        if not levels or held / top.sum() >= containment:
            union = stack[index] | top
            if (union != top).any():
                levels.append(union)
                indices.append(index)
    return np.reshape(levels, (-1, *stack.shape[1:])).astype(bool), indices


@given(stacks, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_a_chain_is_its_definition_and_truly_nests(stack, containment):
    chain, indices = masks.nested_chain(stack, containment=containment)
    expected, expected_indices = _chain(stack, containment)
    np.testing.assert_array_equal(chain, expected)
    np.testing.assert_array_equal(indices, expected_indices)
    assert not (chain[:-1] & ~chain[1:]).any()
    assert (np.diff(masks.areas(chain), prepend=0) > 0).all()
    assert len(chain) > 0 or not stack.any()


@given(arrays(np.int64, (6, 7), elements=st.integers(0, 4)), st.permutations(range(4)))
def test_masks_that_nest_come_back_in_whatever_order_they_are_given(ranks, order):
    nest = np.stack([ranks > rank for rank in (3, 2, 1, 0)])
    real = np.flatnonzero(np.diff(masks.areas(nest), prepend=0))
    chain, indices = masks.nested_chain(nest)
    np.testing.assert_array_equal(chain, nest[real])
    np.testing.assert_array_equal(indices, real)
    again, _ = masks.nested_chain(nest[order])
    np.testing.assert_array_equal(again, chain)


@given(st.integers(0, 2**32 - 1))
def test_a_chain_of_masks_of_different_areas_does_not_depend_on_their_order(seed):
    rng = np.random.default_rng(seed)
    areas = rng.choice(np.arange(1, 81), 7, replace=False)
    stack = np.stack([rng.permutation(81) < area for area in areas]).reshape(7, 9, 9)
    order = rng.permutation(7)
    chain, indices = masks.nested_chain(stack, containment=0.3)
    again, moved = masks.nested_chain(stack[order], containment=0.3)
    np.testing.assert_array_equal(again, chain)
    np.testing.assert_array_equal(order[moved], indices)


def test_a_mask_joins_at_exactly_the_share_and_ties_go_to_the_lower_index():
    stack = np.zeros((4, 1, 60), bool)
    stack[0, 0, :20] = stack[1, 0, 1:40] = stack[2, 0, 2:42] = stack[3, 0, 40:] = True
    chain, indices = masks.nested_chain(stack, containment=0.95)
    assert indices.tolist() == [0, 1, 2]  # 19 of 20 pixels, then 38 of 40
    np.testing.assert_array_equal(masks.areas(chain), [20, 40, 42])
    twins = np.stack([stack[3], stack[0], stack[3], stack[0]])
    assert masks.nested_chain(twins)[1].tolist() == [0]
    assert masks.nested_chain(stack[:0])[0].shape == (0, 1, 60)


def test_a_limit_keeps_both_ends_and_even_steps_of_the_logarithm():
    sizes = [1, 2, 3, 4, 8, 15, 16, 17, 64]
    nest = np.arange(64)[None, None] < np.array(sizes)[:, None, None]
    kept = {k: masks.nested_chain(nest, limit=k) for k in (1, 2, 3, 4, 9, 20)}
    areas = {k: masks.areas(chain).tolist() for k, (chain, _) in kept.items()}
    assert areas == {1: [1], 2: [1, 64], 3: [1, 8, 64], 4: [1, 4, 16, 64], 9: sizes, 20: sizes}
    assert kept[4][1].tolist() == [0, 3, 6, 8]


@given(st.sets(st.integers(1, 10**6), max_size=12), st.integers(1, 14))
def test_a_limit_is_met_exactly_and_keeps_both_ends(sizes, limit):
    areas = np.array(sorted(sizes), np.int64)
    kept = masks.evenly_spread(areas, limit)
    assert len(kept) == min(limit, len(areas))
    assert (np.diff(kept) > 0).all()
    if len(kept) > 1:
        assert (kept[0], kept[-1]) == (0, len(areas) - 1)


def test_impossible_limits_and_shares_are_refused():
    with pytest.raises(ValueError, match="limit of levels is at least 1, not 0"):
        masks.nested_chain(np.ones((1, 2, 2), bool), limit=0)
    with pytest.raises(ValueError, match=r"0\.\.1, not at 1\.5"):
        masks.nested_chain(np.ones((1, 2, 2), bool), containment=1.5)
