import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskspace.masks import encode, enlarge
from maskspace.prediction import NO_CLASS, Prediction

STACKS = arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7))


@given(STACKS, st.integers(1, 200))
def test_proposals_say_the_same_of_masks_and_of_strings(stack, pixels):
    scores = -np.arange(len(stack), dtype=np.float32)
    dense = Prediction(stack, scores)
    coded = Prediction.of_strings(encode(stack), dense.size_hw, scores)
    assert len(dense) == len(coded) == len(stack)
    assert dense.counts == coded.counts
    for found in (coded, dense):
        blocks = list(found.blocks(pixels=pixels))
        assert all(len(b) == 1 or b.size <= pixels for b in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), stack)
    np.testing.assert_array_equal(coded.masks, stack)


def test_blocks_of_strings_keep_no_dense_masks():
    found = Prediction.of_strings(["03"] * 4, (1, 3), np.zeros(4, np.float32))
    assert sum(block.sum() for block in found.blocks(pixels=3)) == 12
    assert "masks" not in vars(found)


def labelled(size_hw=(3, 4), seed=0):
    labels = np.random.default_rng(seed).integers(0, 4, size_hw).astype(np.int32)
    return Prediction.of_labels(labels, np.array([0.5, 0.9, 0.5], np.float32), np.array([7, 8, 9]))


def test_a_label_map_is_the_masks_of_its_labels():
    found = labelled()
    for index, mask in enumerate(found.masks):
        np.testing.assert_array_equal(mask, found.labels == index + 1)
    assert found.is_label_map
    assert not Prediction(found.masks, found.scores).is_label_map
    np.testing.assert_array_equal(np.concatenate(list(found.blocks(pixels=1))), found.masks)


def test_of_overlapping_masks_the_surest_shows():
    masks = np.array([[[1, 1, 0]], [[0, 1, 1]], [[0, 1, 0]]], bool)
    found = Prediction(masks, np.array([0.2, 0.8, 0.8], np.float32), np.array([3, 4, 5]))
    assert found.labels.tolist() == [[1, 2, 2]]
    assert found.class_map.tolist() == [[3, 4, 4]]


def test_where_nothing_is_there_is_no_class():
    empty = Prediction(np.zeros((0, 2, 2), bool), np.zeros(0, np.float32))
    assert (empty.class_map == NO_CLASS).all() and not empty.labels.any()
    unnamed = Prediction(np.ones((1, 1, 2), bool), np.ones(1, np.float32))
    assert (unnamed.class_map == NO_CLASS).all()


def test_ranks_go_by_score_and_equal_scores_keep_their_order():
    for found in (
        labelled(),
        Prediction(labelled().masks, labelled().scores, labelled().classes),
        Prediction.of_strings(
            labelled().counts, labelled().size_hw, labelled().scores, labelled().classes
        ),
    ):
        best = found.ranked(limit=2)
        np.testing.assert_array_equal(best.masks, labelled().masks[[1, 0]])
        assert best.scores.tolist() == pytest.approx([0.9, 0.5])
        assert best.classes is not None and best.classes.tolist() == [8, 7]
        assert found.ranked().scores.tolist() == pytest.approx([0.9, 0.5, 0.5])


def test_enlarged_masks_are_the_masks_enlarged():
    found = labelled()
    for large in (found.at((7, 9)), Prediction(found.masks, found.scores).at((7, 9))):
        for mask, small in zip(large.masks, found.masks, strict=True):
            np.testing.assert_array_equal(mask, enlarge(small, (7, 9)))
    assert found.at((3, 4)) is found


def test_what_does_not_fit_together_is_told():
    with pytest.raises(ValueError, match="2 masks, 1 scores and 2 classes"):
        Prediction(np.ones((2, 1, 1), bool), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="1 masks, 1 scores and 2 classes"):
        Prediction(np.ones((1, 1, 1), bool), np.ones(1, np.float32), np.zeros(2, np.int64))
    with pytest.raises(ValueError, match="labels are 0 to 1"):
        Prediction.of_labels(np.full((1, 1), 2, np.int32), np.ones(1, np.float32))
