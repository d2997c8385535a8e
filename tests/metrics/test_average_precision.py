import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskspace import masks
from maskspace.metrics.average_precision import (
    RECALLS,
    average_precision,
    mean_average_precision,
    precision_at_recall,
    scored_matches,
)
from maskspace.metrics.sizes import SIZES


def scene(seed, *, images=4, side=150):
    """Return proposals, scores, of which some are equal, and truths: shifted copies and strays."""
    generator = np.random.default_rng(seed)
    rows, columns = np.mgrid[:side, :side]
    result = []
    for _ in range(images):
        y, x = generator.integers(0, side, (2, 8, 1, 1))
        radius = generator.integers(3, 70, (8, 1, 1))
        true = (abs(rows - y) < radius) & (abs(columns - x) < radius)
        predicted = true[generator.integers(0, 8, 20)]
        for index, mask in enumerate(predicted):
            predicted[index] = np.roll(mask, generator.integers(-4, 5, 2), axis=(0, 1))
        result.append((predicted, generator.integers(0, 12, 20) / 12, true))
    return result


def evaluated(classes, *, limit=100, size="all"):
    """Return COCOeval's AP of classes, each a list of the same images."""
    images = [{"id": i + 1, "height": t.shape[1], "width": t.shape[2]}
              for i, (_, _, t) in enumerate(classes[0])]  # fmt: skip
    annotations, results = [], []
    for category, scenes in enumerate(classes, start=1):
        for image, (predicted, scores, true) in enumerate(scenes, start=1):
            shape = list(true.shape[1:])
            for mask, counts in zip(true, masks.encode(true), strict=True):
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": image, "category_id": category,
                     "iscrowd": 0, "segmentation": {"size": shape, "counts": counts},
                     "area": int(mask.sum()), "bbox": [0, 0, 1, 1]}
                )  # fmt: skip
            for score, counts in zip(scores, masks.encode(predicted), strict=True):
                results.append(
                    {"image_id": image, "category_id": category, "score": float(score),
                     "segmentation": {"size": shape, "counts": counts}}
                )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        categories = [{"id": category + 1} for category in range(len(classes))]
        truth.dataset = {"images": images, "annotations": annotations, "info": {},
                         "categories": categories}  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.maxDets = [limit]
        evaluation.params.areaRng = [list(SIZES[size])]
        evaluation.params.areaRngLbl = [size]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"]
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed, size):
    scenes = scene(seed)
    found = average_precision([scored_matches(*one, size=size) for one in scenes])
    assert found == pytest.approx(evaluated([scenes], size=size), abs=1e-9)


@pytest.mark.parametrize("limit", [1, 5])
def test_equals_pycocotools_for_a_limit_and_classes(limit):
    classes = [scene(10), scene(11)]
    found = mean_average_precision(
        [[scored_matches(*one, limit=limit) for one in scenes] for scenes in classes]
    )
    assert found == pytest.approx(evaluated(classes, limit=limit), abs=1e-9)


def test_perfect_is_one_and_strays_below_the_hits_cost_nothing():
    (_, _, true), *_ = scene(0)
    true = true[[0, 3]]
    scores = np.array([0.9, 0.8])
    assert average_precision([scored_matches(true, scores, true)]) == pytest.approx(1)
    stray = np.zeros((1, 150, 150), bool)
    stray[0, 0, :40] = True
    with_stray = np.concatenate([true, stray])
    last = scored_matches(with_stray, np.array([0.9, 0.8, 0.1]), true)
    first = scored_matches(with_stray, np.array([0.9, 0.8, 0.95]), true)
    assert average_precision([last]) == pytest.approx(1)
    assert average_precision([first]) < 1
    assert average_precision([scored_matches(stray, scores[:1], true)]) == 0


def test_precision_never_rises_with_recall():
    table = precision_at_recall([scored_matches(*one) for one in scene(2)])
    assert table.shape == (10, len(RECALLS))
    assert (np.diff(table, axis=1) <= 0).all()
    assert (np.diff(table, axis=0) <= 1e-12).mean() > 0.9


def test_classes_without_truths_take_no_part_and_nothing_is_refused():
    (predicted, scores, true), *_ = scene(3)
    one = [scored_matches(predicted, scores, true)]
    nothing = [scored_matches(predicted, scores, true[:0])]
    assert mean_average_precision([one, nothing]) == average_precision(one)
    with pytest.raises(ValueError, match="no true mask"):
        average_precision(nothing)
    with pytest.raises(ValueError, match="no class"):
        mean_average_precision([nothing])
