import numpy as np
import pytest

from maskspace.data.readers import coded_masks
from maskspace.data.readers.coded_masks import (
    annotate_tree,
    coded_label_map,
    run_length_string,
    runs_of_objects,
)
from maskspace.masks import areas, boxes_xywh, decode, encode, from_label_map
from maskspace.masks.coded import encode_runs

SIZE = (9, 12)


def test_a_label_map_gives_the_mask_of_each_label() -> None:
    labels = np.random.default_rng(0).integers(-2, 4, SIZE)
    coded = coded_label_map(labels, ignored=-2)
    ids, masks = from_label_map(labels)
    assert (decode([one.counts for one in coded], SIZE) == masks).all()
    assert [one.ignore for one in coded] == [label == -2 for label in ids]
    assert coded_label_map(np.zeros(SIZE, np.int64)) == []


def plain(mask: np.ndarray) -> list[int]:
    """Return the run lengths of a mask by walking down its columns."""
    runs, last = [0], False
    for value in mask.T.ravel().tolist():
        if value != last:
            runs.append(0)
        runs[-1] += 1
        last = value
    return runs


@pytest.mark.parametrize("seed", range(3))
def test_plain_and_compressed_runs_are_the_same_masks(seed: int) -> None:
    masks = np.random.default_rng(seed).random((6, *SIZE)) < 0.3
    masks[0], masks[1] = True, False
    strings = encode(masks)
    lists = [{"size": list(SIZE), "counts": plain(mask)} for mask in masks]
    texts = [{"size": list(SIZE), "counts": string} for string in strings]
    for objects in (lists, texts, [*lists[:3], *texts[3:]]):
        assert encode_runs(runs_of_objects(objects, SIZE, label="mask"), SIZE) == strings
    assert [run_length_string(one, SIZE) for one in lists] == strings


def test_the_first_object_that_is_wrong_is_named() -> None:
    good = {"size": list(SIZE), "counts": [108]}
    for bad, message in (
        (None, "mask 8: has no run-length `segmentation`"),
        ({"size": list(SIZE), "counts": [108, -1, 1]}, "mask 8: its run length -1 is no whole"),
        ({"size": list(SIZE), "counts": [True, 107]}, "mask 8: its run length True is no whole"),
        ({"size": list(SIZE), "counts": []}, "mask 8: its run lengths cover 0 pixels"),
        ({"size": list(SIZE), "counts": ""}, "mask 8: its run lengths cover 0 pixels"),
        ({"size": list(SIZE), "counts": "\n\0"}, "mask 8: its run lengths hold"),
        ({"size": "9\n12", "counts": ""}, r"mask 8: its mask is '9\\n12', the image is"),
    ):
        with pytest.raises(ValueError, match=message) as told:
            runs_of_objects([good, bad, good], SIZE, label="mask", first=7)
        assert "\n" not in str(told.value)


def test_the_number_of_masks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coded_masks, "MAX_MASKS", 3)
    good = {"size": list(SIZE), "counts": [108]}
    assert runs_of_objects([good] * 3, SIZE, label="mask").number == 3
    with pytest.raises(ValueError, match="4 masks of one image; the limit is 3"):
        runs_of_objects([good] * 4, SIZE, label="mask")


def test_a_tree_keeps_equal_masks_and_its_parents() -> None:
    masks = np.zeros((4, *SIZE), bool)
    masks[0, 2:4, 3:9] = masks[1] = masks[2] = masks[3, 0, 0] = True
    strings = encode(masks)
    found = annotate_tree(strings[:3], [2, None, 1], SIZE, ignored=strings[3:])
    assert [a.parent for a in found] == [3, None, 2, None]
    assert [a.ignore for a in found] == [False, False, False, True]
    assert [a.area for a in found] == areas(masks).tolist()
    assert [list(a.box_xywh) for a in found] == boxes_xywh(masks).tolist()
    with pytest.raises(ValueError, match="mask 2 is empty"):
        annotate_tree([*strings[:1], "\\3"], [None, None], SIZE)
    assert annotate_tree([], [], SIZE) == ()
