import numpy as np
import pytest

from maskspace.partition.editing import combine_clicks
from maskspace.partition.image_editor import CLICK_RULES, ImageEditor
from maskspace.partition.resample import resize_maps
from maskspace.types import Click

SIZE_HW = (24, 30)
CLICKS = [Click(3, 4), Click(20, 5), Click(9, 18, positive=False), Click(25, 20)]


class Blobs:
    """Smooth maps around each click at 16 a side, and rounds that add to the one before."""

    answers = frozenset({"click", "refine"})

    def __init__(self) -> None:
        self.decoded: list[tuple[int, int]] = []
        self.rounds: list[int] = []

    def encode(self, image):
        return None

    def click_logits(self, features, size_hw, clicks_xy, positive):
        self.decoded += map(tuple, clicks_xy.tolist())
        rows, columns = np.mgrid[:16, :16]
        x, y = (clicks_xy * 16 / np.array(size_hw[::-1])).T[:, :, None, None]
        return (4 - np.hypot(columns - x, rows - y)).astype(np.float32)

    def mask_logits(self, features, size_hw, clicks_xy, positive, previous):
        self.rounds.append(len(clicks_xy))
        rows, columns = np.mgrid[: size_hw[0], : size_hw[1]]
        x, y = clicks_xy.T[:, :, None, None]
        near = np.where(positive, 1, -1)[:, None, None] * (5 - np.hypot(columns - x, rows - y))
        before = 0.0 if previous is None else 2 * previous - 1
        return (np.clip(near, -0.1, 1).sum(axis=0) + before).astype(np.float32)


@pytest.fixture
def editor() -> ImageEditor:
    return ImageEditor(Blobs(), None, SIZE_HW)


@pytest.mark.parametrize("rule", ["claims", "largest"])
def test_masks_are_the_combined_maps_at_the_images_size(editor, rule):
    xy = np.array([(click.x, click.y) for click in CLICKS])
    positive = np.array([click.positive for click in CLICKS])
    maps = resize_maps(Blobs().click_logits(None, SIZE_HW, xy, positive), SIZE_HW)
    start = np.random.default_rng(0).random(SIZE_HW) > 0.5
    for level in (0.3, 0.5, 0.8):
        shifted = maps - np.float32(np.log(level / (1 - level)))
        np.testing.assert_array_equal(
            editor.mask(CLICKS, level=level, start=start, rule=rule),
            combine_clicks(shifted, positive, start=start, rule=rule),
        )


def test_one_more_click_costs_one_decode_and_levels_and_rules_none(editor):
    for count in (1, 2, 4, 3, 1):
        editor.mask([*CLICKS[:count], CLICKS[0]])
    editor.mask(CLICKS, level=0.8, rule="largest")
    editor.probabilities(CLICKS)
    assert editor.model.decoded == [(click.x, click.y) for click in CLICKS]


def test_iterative_replays_clicks_and_goes_on_from_the_round_it_knows(editor):
    start = np.zeros(SIZE_HW, bool)
    start[:8] = True
    for begin in (None, start):
        previous = None if begin is None else begin.astype(np.float32)
        for count in range(1, 5):
            previous = editor.refine(CLICKS[:count], previous)
            mask = editor.mask(CLICKS[:count], start=begin, rule="iterative", level=0.4)
            np.testing.assert_array_equal(mask, previous > 0.4)
    assert editor.model.rounds == 2 * [1, 1, 2, 2, 3, 3, 4, 4]
    editor.mask(CLICKS[:2], rule="iterative")
    assert len(editor.model.rounds) == 16
    editor.mask(CLICKS[::-1], rule="iterative")
    assert editor.model.rounds[16:] == [1, 2, 3, 4]


@pytest.mark.parametrize("rule", CLICK_RULES)
def test_a_bounded_memory_changes_no_answer(rule):
    roomy, tight = (
        ImageEditor(Blobs(), None, SIZE_HW),
        ImageEditor(Blobs(), None, SIZE_HW, max_bytes=2 * 24 * 30 * 4),
    )
    for count in (1, 2, 3, 4, 2, 4):
        for start in (None, np.eye(*SIZE_HW, dtype=bool)):
            masks = [e.mask(CLICKS[:count], rule=rule, start=start) for e in (roomy, tight)]
            np.testing.assert_array_equal(*masks)
    maps = tight._kept._maps
    assert sum(map_.nbytes for map_ in maps.values()) == tight._kept._bytes <= 2 * 24 * 30 * 4


@pytest.mark.parametrize("rule", CLICK_RULES)
def test_no_clicks_are_the_start_mask(editor, rule):
    start = np.eye(*SIZE_HW, dtype=bool)
    np.testing.assert_array_equal(editor.mask([], start=start, rule=rule), start)
    assert not editor.mask([], rule=rule).any()


class OneByOne:
    """A click model that knows no rounds, and whose maps are broken."""

    def encode(self, image):
        return None

    def click_logits(self, features, size_hw, clicks_xy, positive):
        return np.full((len(clicks_xy), 4, 4), np.nan, np.float32)


def test_what_cannot_be_answered_is_refused_in_one_line(editor):
    with pytest.raises(ValueError, match="claims, largest, iterative"):
        editor.mask(CLICKS, rule="most")
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="level is a probability"):
            editor.mask(CLICKS, level=level)
    with pytest.raises(ValueError, match="the start mask is"):
        editor.mask(CLICKS, start=np.zeros((3, 3), bool))
    with pytest.raises(ValueError, match="the previous map is"):
        editor.refine(CLICKS, np.zeros((3, 3), np.float32))
    for wrong in (np.nan, 1.5, -0.5):
        with pytest.raises(ValueError, match="no probabilities"):
            editor.refine(CLICKS, np.full(SIZE_HW, wrong, np.float32))
    broken = ImageEditor(OneByOne(), None, SIZE_HW)
    with pytest.raises(ValueError, match="not numbers"):
        broken.mask(CLICKS)
    with pytest.raises(ValueError, match="not numbers"):
        broken.probabilities(CLICKS)
    with pytest.raises(ValueError, match="one by one"):
        broken.mask(CLICKS, rule="iterative")
