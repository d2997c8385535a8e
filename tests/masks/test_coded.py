import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco
from scipy import ndimage

from maskspace.masks import coded
from maskspace.masks.runs import mask_runs

stacks = arrays(
    bool, st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 9)), elements=st.booleans()
)
run_lists = st.lists(st.integers(0, 2**24), min_size=1, max_size=20).filter(any)


def coco_strings(masks: np.ndarray) -> list[str]:
    encoded = [coco.encode(np.asfortranarray(mask.astype(np.uint8))) for mask in masks]
    return [one["counts"].decode() for one in encoded]


def coco_masks(counts: list[str], size_hw: tuple[int, int]) -> np.ndarray:
    found = [coco.decode([{"size": list(size_hw), "counts": one.encode()}]) for one in counts]
    return np.array(found, bool).reshape(-1, *size_hw)


def string_of(runs: list[int]) -> str:
    """COCO's string of any whole numbers, digit by digit as rleToString writes them."""
    text = ""
    for index, run in enumerate(runs):
        number, more = run - (runs[index - 2] if index > 2 else 0), True
        while more:
            chunk, number = number & 31, number >> 5
            more = number != (-1 if chunk & 16 else 0)
            text += chr(48 + (chunk | 32 * more))
    return text


@given(stacks)
def test_strings_and_masks_are_pycocotools_own(stack):
    counts = coded.encode(stack)
    assert counts == coco_strings(stack)
    found = coded.decode(counts, stack.shape[1:])
    np.testing.assert_array_equal(found, stack)
    assert found.flags.c_contiguous and found.flags.writeable


@given(stacks, st.data())
def test_a_string_that_lost_or_gained_a_character_is_refused_or_read_as_its_runs(stack, data):
    counts = coded.encode(stack)
    assume(counts)
    index = data.draw(st.integers(0, len(counts) - 1))
    text, place = counts[index], data.draw(st.integers(0, len(counts[index])))
    counts[index] = text[:place] + data.draw(st.text("0123PQo/\x00p", max_size=2)) + text[place:]
    counts[index] = counts[index][data.draw(st.integers(0, 1)) :]
    height, width = stack.shape[1:]
    try:
        runs = coded.run_lengths(counts[index])
    except ValueError:
        runs = [-1]
    if min(runs) < 0 or sum(runs) != height * width:
        with pytest.raises(ValueError, match="run lengths"):
            coded.decode(counts, (height, width))
    else:
        flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        stack[index] = flat.reshape(width, height).T
        np.testing.assert_array_equal(coded.decode(counts, (height, width)), stack)


def by_characters(counts: str) -> list[int]:
    """The run lengths of a string, character by character as rleFrString reads them."""
    runs, place = [], 0
    while place < len(counts):
        number, shift, code = 0, 0, 32
        while code & 32:
            code = ord(counts[place]) - 48
            if not 0 <= code < 64:
                raise ValueError
            number |= (code & 31) << shift
            place, shift = place + 1, shift + 5
        number -= (code & 16) >> 4 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
    return runs


@given(st.lists(st.text("0129?@CNOPQ_`o", max_size=12), max_size=4), st.integers(1, 9))
def test_any_string_of_the_coding_is_read_as_by_characters(counts, height):
    expected = []
    for one in counts:
        try:
            expected.append(by_characters(one))
        except IndexError:
            with pytest.raises(ValueError, match=r"^mask 0: its run lengths end in the middle"):
                coded.run_lengths(one)
            expected.append([-1])
        else:
            assert coded.run_lengths(one) == (expected[-1] or [0])
    wrong = [min(runs, default=-1) < 0 or sum(runs) != 8 * height for runs in expected]
    if any(wrong):
        for read in (coded.decode, coded.decode_runs):
            with pytest.raises(ValueError, match=rf"^mask {wrong.index(True)}: its run lengths"):
                read(counts, (height, 8))
    else:
        np.testing.assert_array_equal(
            coded.decode(counts, (height, 8)), coco_masks(counts, (height, 8))
        )


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=9), min_size=1, max_size=4))
def test_runs_of_strings_are_those_of_their_masks(lists):
    pixels = max(sum(runs) for runs in lists) + 1
    counts = [string_of([*runs, pixels - sum(runs)]) for runs in lists]
    runs, expected = (
        coded.decode_runs(counts, (pixels, 1)),
        mask_runs(coco_masks(counts, (pixels, 1))),
    )
    for name in ("number", "mask", "start", "length"):
        np.testing.assert_array_equal(getattr(runs, name), getattr(expected, name))
    assert coded.encode_runs(runs, (pixels, 1)) == coco_strings(coco_masks(counts, (pixels, 1)))


def test_nothing_and_one_pixel():
    assert coded.encode(np.zeros((0, 3, 4), bool)) == []
    assert coded.decode([], (3, 4)).shape == (0, 3, 4)
    assert coded.decode_sampled([], (3, 4), np.arange(1, 3), np.arange(1, 3)).shape == (0, 2, 2)
    assert coded.decode_runs([], (3, 4)).areas().tolist() == []
    stack = np.array([[[True]], [[False]]])
    assert coded.encode(stack) == coco_strings(stack) == ["01", "1"]
    np.testing.assert_array_equal(coded.decode(["01", "1", "010"], (1, 1)), stack[[0, 1, 0]])


@pytest.mark.parametrize(
    "ending", ["o", "oo", "P", "o\x00", "P\x00111", "\xe9", "\u20ac", "\ud800"]
)
def test_a_string_that_ends_within_a_number_never_borrows_from_the_next(ending):
    for length in range(30):
        counts = [string_of([2, 70]), "1" * length + ending, "1" * 72]
        with pytest.raises(ValueError, match="mask 1: its run lengths"):
            coded.decode(counts, (8, 9))


@pytest.mark.parametrize("size_hw", [(700, 900), (1024, 512), (1, 5000), (5000, 1)])
def test_large_masks_too(size_hw):
    noise = np.random.default_rng(0).standard_normal((6, *size_hw))
    stack = ndimage.gaussian_filter(noise, (0, 5, 5)) > 0.03
    stack[0], stack[1] = True, False
    stack[2, size_hw[0] // 2 :] = False
    stack[3], stack[3, size_hw[0] // 2, size_hw[1] // 3] = False, True
    counts = coded.encode(stack)
    assert counts == coco_strings(stack)
    np.testing.assert_array_equal(coded.decode(counts, size_hw), stack)


@given(st.lists(st.integers(0, 7), min_size=1, max_size=12).filter(any), st.integers(1, 4))
def test_empty_runs_inside_decode_as_pycocotools_does(runs, height):
    runs[-1] += -sum(runs) % height
    size_hw = (height, sum(runs) // height)
    counts = [string_of(runs)]
    np.testing.assert_array_equal(coded.decode(counts, size_hw), coco_masks(counts, size_hw))


@given(stacks, st.data())
def test_rows_and_columns_are_those_of_the_decoded(stack, data):
    height, width = stack.shape[1:]
    rows = np.array(sorted(data.draw(st.lists(st.integers(0, height - 1), max_size=9))), int)
    columns = np.array(sorted(data.draw(st.lists(st.integers(0, width - 1), max_size=9))), int)
    found = coded.decode_sampled(coded.encode(stack), (height, width), rows, columns)
    np.testing.assert_array_equal(found, stack[:, rows[:, None], columns])


@given(stacks, st.data())
def test_a_decoded_crop_is_the_crop_of_the_decoded(stack, data):
    height, width = stack.shape[1:]
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top, height)), data.draw(st.integers(left, width))
    rows, columns = np.arange(top, bottom), np.arange(left, right)
    found = coded.decode_sampled(coded.encode(stack), (height, width), rows, columns)
    np.testing.assert_array_equal(found, stack[:, top:bottom, left:right])


def test_a_crop_beside_a_mask_is_empty():
    mask = np.zeros((1, 9, 9), bool)
    mask[:, 4:6, 4:6] = True
    whole = np.arange(9)
    for rows, columns in ((whole, whole[:2]), (whole, whole[7:]), (whole[:2], whole)):
        assert not coded.decode_sampled(coded.encode(mask), (9, 9), rows, columns).any()


@given(stacks)
def test_run_lengths_are_the_column_major_runs_background_first(stack):
    for mask, counts in zip(stack, coded.encode(stack), strict=True):
        flat = mask.T.ravel()
        borders = np.flatnonzero(np.diff(flat)) + 1
        runs = np.diff([0, *borders, flat.size]).tolist()
        assert coded.run_lengths(counts) == ([0, *runs] if flat[0] else runs)


@given(run_lists)
def test_run_lengths_of_many_digits_are_pycocotools_own(runs):
    assert coded.run_lengths(string_of(runs)) == runs
    size = sum(runs)
    string = coco.frPyObjects({"size": [size, 1], "counts": runs}, size, 1)["counts"]
    assert string.decode() == string_of(runs)


@pytest.mark.parametrize("bad", ["\x7f", "P", "0é", "/", "\x00"])
def test_what_is_not_cocos_coding_is_refused(bad):
    with pytest.raises(ValueError, match="run lengths"):
        coded.run_lengths(bad)
    with pytest.raises(ValueError, match="run lengths"):
        coded.decode(["4", bad], (2, 2))


def test_runs_that_do_not_fit_the_image_are_refused():
    counts = coded.encode(np.ones((1, 4, 5), bool))
    with pytest.raises(ValueError, match=r"mask 0: .* 20 pixels, the image has 4 x 6 = 24"):
        coded.decode(counts, (4, 6))
    with pytest.raises(ValueError, match="mask 1: its run lengths cover 0 pixels"):
        coded.decode([*counts, ""], (4, 5))


@pytest.mark.parametrize(
    "runs",
    [[-1, 5], [6, -2], [0, 4, -1, 1], [2**33, -(2**33) + 4], [2**38] * 40, [0, 2**38, 0, 4]],
)
def test_negative_and_huge_runs_are_refused_whatever_they_add_up_to(runs):
    with pytest.raises(ValueError, match="mask 1: its run lengths"):
        coded.decode([string_of([4]), string_of(runs)], (2, 2))


def test_runs_whose_sum_overflows_are_refused():
    # 2**26 runs of 2**38 add up to 2**64, that is 0; so do their differences, all 0
    with pytest.raises(ValueError, match="mask 0: its run lengths"):
        coded.decode([string_of([4, 2**38, 2**38]) + "0" * 2**16], (2, 2))
    for far in ([2**41], [2**63 + 4], [-(2**40)], [2**38] + 2 * [2**39 - 1, 2**38, 2**40]):
        with pytest.raises(ValueError, match="mask 1: its run lengths hold a number above"):
            coded.decode([string_of([4]), string_of(far)], (2, 2))
        with pytest.raises(ValueError, match="hold a number above"):
            coded.run_lengths(string_of(far))


@pytest.mark.parametrize("size_hw", [(10**6, 10**6), (0, 4), (-2, -2)])
def test_impossible_sizes_are_refused_before_anything_is_allocated(size_hw):
    with pytest.raises(ValueError, match=r"pixels|not inside"):
        coded.decode([string_of([abs(size_hw[0] * size_hw[1])])], size_hw)


def test_more_bytes_than_the_limit_are_refused():
    counts = [string_of([12_000**2])] * 300
    with pytest.raises(ValueError, match="decode fewer at a time"):
        coded.decode(counts, (12_000, 12_000))
    crop = np.arange(11_990, 11_994), np.arange(5, 8)
    assert not coded.decode_sampled(counts, (12_000, 12_000), *crop).any()


def test_rows_outside_the_image_are_refused():
    for rows, columns in ((np.arange(3), np.arange(2)), (np.arange(2), np.arange(-1, 1))):
        with pytest.raises(ValueError, match="not inside"):
            coded.decode_sampled(["4"], (2, 2), rows, columns)
