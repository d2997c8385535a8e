import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.masks.nesting import nesting_parents

stacks = arrays(
    bool, st.tuples(st.integers(0, 6), st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
)


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


def parents_by_definition(stack: np.ndarray, containment: float) -> list[int | None]:
    """The definition, mask by mask."""
    area = [int(mask.sum()) for mask in stack]
    found: list[int | None] = []
    for i, mask in enumerate(stack):
        holds = [
            (area[j], j)
            for j, other in enumerate(stack)
            if area[j] > area[i] > 0 and (mask & other).sum() >= containment * area[i]
        ]
        found.append(min(holds)[1] if holds else None)
    return found


@given(stacks, st.sampled_from([0.51, 0.75, 0.95, 1.0]))
@settings(max_examples=200)
def test_the_parent_is_the_smallest_larger_mask_that_contains(stack, containment) -> None:
    counts = masks.encode(stack)
    found = nesting_parents(counts, stack.shape[1:], masks.areas(stack), containment=containment)
    assert found == parents_by_definition(stack, containment)


def test_nesting_of_more_masks_than_a_block_holds() -> None:
    corners = np.random.default_rng(0).integers(0, 12, (700, 4))
    rows, columns = np.mgrid[:24, :24]
    stack = np.stack(
        [
            (rows >= a) & (rows <= a + c) & (columns >= b) & (columns <= b + d)
            for a, b, c, d in corners
        ]
    )
    found = nesting_parents(masks.encode(stack), (24, 24), masks.areas(stack), containment=0.9)
    assert found == parents_by_definition(stack, 0.9)
