import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskspace.masks import encode
from maskspace.types import Proposals

STACKS = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7))


@given(STACKS, st.integers(1, 200))
def test_proposals_say_the_same_of_masks_and_of_strings(stack, pixels):
    scores = -np.arange(len(stack), dtype=np.float32)
    dense = Proposals(stack, scores)
    coded = Proposals.of_strings(encode(stack), dense.size_hw, scores)
    assert len(dense) == len(coded) == len(stack)
    assert dense.counts == coded.counts
    for found in (coded, dense):
        blocks = list(found.blocks(pixels=pixels))
        assert all(len(b) == 1 or b.size <= pixels for b in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), stack)
    np.testing.assert_array_equal(coded.masks, stack)


def test_blocks_of_strings_keep_no_dense_masks():
    found = Proposals.of_strings(["03"] * 4, (1, 3), np.zeros(4, np.float32))
    assert sum(block.sum() for block in found.blocks(pixels=3)) == 12
    assert "masks" not in vars(found)
