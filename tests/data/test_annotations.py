import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from maskspace.data.annotations import Coded, annotate, annotate_coded, refine
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.records import encode_record, parse_record
from maskspace.masks import decode, encode
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import label_map_runs

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


def layered() -> tuple:
    """Annotations of two people who drew one mask alike, and one mask to ignore."""
    counts = encode(MASKS[:3])
    coded = [Coded(counts=c, layer=layer) for layer in (0, 3) for c in counts[layer // 3 : 2]]
    coded.insert(1, Coded(counts=counts[2], ignore=True))
    return annotate_coded(coded, (30, 40))


def test_equal_masks_of_two_layers_are_both_kept_and_the_ignored_come_last() -> None:
    found = layered()
    assert [(a.layer, a.ignore) for a in found] == [
        (0, False),
        (0, False),
        (3, False),
        (0, True),
    ]
    assert found[1].counts == found[2].counts and found[3].parent is None
    doubled = [Coded(counts=a.counts, layer=a.layer) for a in found[:3]] * 2
    assert len(annotate_coded(doubled, (30, 40))) == 3


def test_layers_survive_splitting_records_and_arrays() -> None:
    sample = replace(
        read_rectangles("", seed=0, limit=1)[0], size_hw=(30, 40), annotations=layered()
    )
    split = refine(sample, split_components=True, min_component_area=1, containment=0.95)
    for layer in (0, 3):
        before, after = (
            decode([a.counts for a in s.annotations if a.layer == layer and not a.ignore], (30, 40))
            for s in (sample, split)
        )
        assert (before.any(axis=0) == after.any(axis=0)).all()
    record = parse_record(encode_record(split), where="x")
    assert record.fields["annotations"] == split.annotations
    old = encode_record(split).replace(b'"layer":3,', b"").replace(b'"layer":0,', b"")
    assert {a.layer for a in parse_record(old, where="x").fields["annotations"]} == {0}


def test_hundreds_of_masks_of_a_12_megapixel_photo_take_little_memory() -> None:
    size_hw = (3000, 4000)
    labels = np.arange(20)[:, None] * 20 + np.arange(20) + 1
    labels = labels.repeat(150, axis=0).repeat(200, axis=1)
    _, runs = label_map_runs(labels)
    coded = [Coded(counts=counts) for counts in encode_runs(runs, size_hw)]
    whole = encode_runs(label_map_runs(labels * 0 + 1)[1], size_hw)
    tracemalloc.start()
    found = annotate_coded([*coded, Coded(counts=whole[0])], size_hw)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
    assert [a.parent for a in found] == [401] * 400 + [None]
    assert all(a.box_xywh[2:] == (200, 150) and a.area == 30_000 for a in found[:400])
