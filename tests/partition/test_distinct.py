import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.masks import boxes_xywh
from maskspace.partition.distinct import DistinctMasks
from maskspace.partition.nms import box_nms, mask_nms
from maskspace.partition.small_regions import clean_small_regions

SIZE = (7, 9)
BRUTE = {
    "mask": mask_nms,
    "box": lambda masks, scores, overlap: box_nms(boxes_xywh(masks), scores, overlap=overlap),
}


def added(masks, *, nms="mask", overlap=0.5, limit=100, min_region=0):
    found = DistinctMasks(masks.shape[1:], limit, overlap=overlap, nms=nms, min_region=min_region)
    for index, mask in enumerate(masks):
        if found.add(mask, (0, 0), -float(index)) == limit:
            break
    return found.proposals()


@given(
    st.integers(0, 12).flatmap(lambda n: arrays(bool, (n, *SIZE))),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]),
    st.sampled_from(["mask", "box"]),
)
def test_the_same_stay_as_when_every_pair_is_compared(masks, overlap, nms):
    masks = masks[masks.any(axis=(1, 2))]
    scores = -np.arange(len(masks), dtype=np.float64)
    kept = BRUTE[nms](masks, scores, overlap=overlap)
    np.testing.assert_array_equal(added(masks, nms=nms, overlap=overlap).masks, masks[kept])


def test_a_window_says_as_much_as_the_whole_mask():
    rng = np.random.default_rng(0)
    whole, windows = (
        DistinctMasks((40, 50), 9, overlap=0.5, nms="mask", min_region=0) for _ in range(2)
    )
    for index in range(9):
        y, x = rng.integers(0, 20, 2)
        window = rng.random((15, 25)) < 0.5
        mask = np.zeros((40, 50), bool)
        mask[y : y + 15, x : x + 25] = window
        whole.add(mask, (0, 0), -float(index))
        windows.add(window, (int(x), int(y)), -float(index))
    np.testing.assert_array_equal(whole.proposals().masks, windows.proposals().masks)


def test_no_more_than_the_limit_and_nothing_empty():
    masks = np.zeros((5, 8, 8), bool)
    masks[[1, 2, 3], [0, 2, 4], 0] = True
    found = added(masks, limit=2)
    np.testing.assert_array_equal(found.masks, masks[1:3])
    assert found.scores.tolist() == [-1, -2]


@pytest.mark.parametrize("corner", [(0, 0), (5, 11)])
def test_holes_and_islands_are_mended_before_masks_are_compared(corner):
    x, y = corner
    plain = np.zeros((2, 30, 30), bool)
    plain[:, y : y + 12, x : x + 12] = True
    plain[0, y + 3 : y + 9, x + 3 : x + 9] = False  # a hole of 36 pixels
    expected = clean_small_regions(plain, min_area=40)[0]
    found = DistinctMasks((30, 30), 5, overlap=0.9, nms="mask", min_region=40)
    counts = [found.add(mask[y : y + 12, x : x + 12], corner, 1.0) for mask in plain]
    assert counts == [1, 1]
    np.testing.assert_array_equal(found.proposals().masks, expected[:1])
    assert added(plain, overlap=0.9).masks.shape[0] == 2
