import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from maskspace import masks
from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import boxes_of_runs, component_runs, label_map_runs

stacks = arrays(
    bool, st.tuples(st.integers(0, 6), st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
)
maps = arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3))
RNG = np.random.default_rng(0)
BLOBS = ndimage.gaussian_filter(RNG.standard_normal((40, 90, 120)), (0, 4, 4)) > 0.05


def large_and_small() -> list[np.ndarray]:
    return [BLOBS, BLOBS[:, :1], BLOBS[:, :, :1], ~BLOBS, np.ones((2, 300, 700), bool)]


def check_round_trip(stack: np.ndarray) -> None:
    size_hw = stack.shape[1:]
    counts = masks.encode(stack)
    runs = decode_runs(counts, size_hw)
    assert encode_runs(runs, size_hw) == counts
    np.testing.assert_array_equal(runs.areas(), masks.areas(stack))
    np.testing.assert_array_equal(boxes_of_runs(runs, size_hw), masks.boxes_xywh(stack))


@given(stacks)
def test_strings_areas_and_boxes_are_those_of_the_dense_masks(stack) -> None:
    check_round_trip(stack)


def test_numbers_of_many_digits_are_coded_as_pycocotools_does() -> None:
    for stack in large_and_small():
        check_round_trip(stack)


@given(maps)
def test_a_label_map_gives_the_masks_of_its_labels(labels) -> None:
    ids, runs = label_map_runs(labels)
    expected_ids, expected = masks.from_label_map(labels)
    np.testing.assert_array_equal(ids, expected_ids)
    assert encode_runs(runs, labels.shape) == masks.encode(expected)


def check_components(stack: np.ndarray, min_area: int) -> None:
    size_hw = stack.shape[1:]
    expected, owners = [], []
    for index, mask in enumerate(stack):
        labels, number = ndimage.label(mask)
        for value in range(1, number + 1):
            if (labels == value).sum() >= min_area:
                expected.append(labels == value)
                owners.append(index)
    runs, owner = component_runs(
        decode_runs(masks.encode(stack), size_hw), size_hw, min_area=min_area
    )
    assert encode_runs(runs, size_hw) == masks.encode(
        np.array(expected, bool).reshape(-1, *size_hw)
    )
    assert owner.tolist() == owners


@given(stacks, st.integers(1, 4))
def test_components_are_those_of_scipy_in_its_order(stack, min_area) -> None:
    check_components(stack, min_area)


def test_components_of_large_masks_are_those_of_scipy() -> None:
    for stack in large_and_small():
        check_components(stack, 9)


@pytest.mark.parametrize(
    "counts", ["0", "5", "P", "\x20", "é", "o" * 9 + "0", "_" * 3, "0000000", "01N0"]
)
def test_strings_that_are_no_masks_are_one_line(counts: str) -> None:
    with pytest.raises(ValueError, match="run lengths") as error:
        decode_runs([counts], (2, 2))
    assert "\n" not in str(error.value)
