from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from maskspace.data.annotations import annotate, refine
from maskspace.data.rectangles import read_rectangles
from maskspace.masks import decode

RNG = np.random.default_rng(0)
MASKS = ndimage.gaussian_filter(RNG.standard_normal((12, 30, 40)), (0, 3, 3)) > 0.02


def test_annotations_measure_their_masks() -> None:
    for annotation, mask in zip(annotate(MASKS), MASKS, strict=True):
        rows, columns = np.nonzero(mask)
        assert annotation.area == mask.sum()
        assert annotation.box_xywh == (
            columns.min(),
            rows.min(),
            np.ptp(columns) + 1,
            np.ptp(rows) + 1,
        )
        assert (decode([annotation.counts], (30, 40))[0] == mask).all()


def test_duplicates_are_dropped_and_the_best_score_stays() -> None:
    doubled = np.concatenate([MASKS, MASKS[::-1]])
    scores = [0.5] * 12 + [0.4] * 11 + [0.9]
    found = annotate(doubled, scores=scores)
    assert [a.counts for a in found] == [a.counts for a in annotate(MASKS)]
    assert [a.score for a in found] == [0.9] + [0.5] * 11


def test_an_empty_mask_is_refused_by_its_place() -> None:
    masks = MASKS.copy()
    masks[4] = False
    with pytest.raises(ValueError, match="mask 5 is empty"):
        annotate(masks)


def test_splitting_gives_the_large_components_of_every_mask() -> None:
    sample = replace(read_rectangles("", seed=0, limit=1)[0], size_hw=(30, 40))
    sample = replace(sample, annotations=annotate(MASKS))
    split = refine(sample, split_components=True, min_component_area=9, containment=0.95)
    found = decode([a.counts for a in split.annotations], (30, 40))
    expected = []
    for mask in MASKS:
        labels, number = ndimage.label(mask)
        expected += [labels == n for n in range(1, number + 1) if (labels == n).sum() >= 9]
    assert {m.tobytes() for m in found} == {m.tobytes() for m in expected}
    assert all(ndimage.label(mask)[1] == 1 for mask in found)
    assert refine(split, split_components=True, min_component_area=9, containment=0.95) == split


def test_what_is_ignored_is_kept_as_it_is() -> None:
    sample = read_rectangles("", seed=0, limit=1)[0]
    first, *rest = sample.annotations
    marked = replace(sample, annotations=(replace(first, ignore=True), *rest))
    refined = refine(marked, split_components=True, min_component_area=1, containment=0.95)
    assert [a.counts for a in refined.annotations if a.ignore] == [first.counts]
    assert [a.id for a in refined.annotations] == list(range(1, len(rest) + 2))


def test_nesting_follows_the_containment_asked_for() -> None:
    whole = np.zeros((20, 20), bool)
    whole[:, :10] = True
    part = np.zeros((20, 20), bool)
    part[:10, 2:12] = True
    masks = np.stack([whole, part])
    assert annotate(masks, containment=0.8)[1].parent == 1
    assert annotate(masks, containment=0.81)[1].parent is None
