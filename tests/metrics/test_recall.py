import contextlib
import io

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskspace import masks
from maskspace.metrics.best_iou import best_match_recall
from maskspace.metrics.recall import (
    THRESHOLDS,
    UNMATCHED,
    average_recall,
    greedy_matches,
    recall_at,
)
from maskspace.metrics.sizes import SIZES


def random_masks(generator, count, side=24):
    """Return overlapping boxes with ragged edges: IoUs of every size, some of them equal."""
    result = np.zeros((count, side, side), bool)
    for mask in result:
        y, x = generator.integers(0, side - 8, 2)
        height, width = generator.integers(4, 16, 2)
        mask[y : y + height, x : x + width] = True
        mask &= generator.random((side, side)) < 0.97
    return result


def jittered(generator, truths, count):
    picked = truths[generator.integers(len(truths), size=count)]
    return picked ^ (generator.random(picked.shape) < generator.choice([0, 0.02, 0.1]))


def coco_average_recall(proposals, truths, limit, kind="all"):
    images, annotations, results = [], [], []
    for image, (predicted, true) in enumerate(zip(proposals, truths, strict=True), start=1):
        size = list(true.shape[1:])
        images.append({"id": image, "height": size[0], "width": size[1]})
        for mask, counts in zip(true, masks.encode(true), strict=True):
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "iscrowd": 0,
                 "segmentation": {"size": size, "counts": counts}, "area": int(mask.sum()),
                 "bbox": [0, 0, 1, 1]}
            )  # fmt: skip
        for rank, counts in enumerate(masks.encode(predicted)):
            results.append(
                {"image_id": image, "category_id": 1, "score": 1 - rank / 1000,
                 "segmentation": {"size": size, "counts": counts}}
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1}],
                         "info": {}}  # fmt: skip
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [limit]
        evaluation.params.areaRng = [list(SIZES[kind])]
        evaluation.params.areaRngLbl = [kind]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["recall"].mean())


@pytest.mark.parametrize("limit", [1, 10, 100, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools_over_images(seed, limit):
    generator = np.random.default_rng(seed)
    truths = [random_masks(generator, generator.integers(1, 12)) for _ in range(6)]
    proposals = [
        np.concatenate([jittered(generator, t, 8), random_masks(generator, 6)])[
            generator.permutation(14)
        ]
        for t in truths
    ]
    expected = coco_average_recall(proposals, truths, limit)
    assert average_recall(proposals, truths, limit=limit) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_equals_pycocotools_for_truths_of_a_size(seed, size):
    generator = np.random.default_rng(seed)
    truths, proposals = [], []
    for _ in range(3):
        corners, ends = np.sort(generator.integers(0, 160, (2, 14, 2)), axis=0)
        true = np.zeros((14, 160, 160), bool)
        for mask, (y, x), (below, right) in zip(true, corners, ends, strict=True):
            mask[y : below + 1, x : right + 1] = True
        true[0], true[1] = False, False
        true[0, :32, :32] = true[1, 9:105, 3:99] = True  # on the borders of classes
        truths.append(true)
        proposals.append(np.roll(jittered(generator, true, 30), generator.integers(3), axis=2))
    expected = coco_average_recall(proposals, truths, 20, size)
    found = average_recall(proposals, truths, limit=20, size=size)
    assert found == pytest.approx(expected, abs=1e-6)


def test_equals_pycocotools_on_photos(assets):
    truths, proposals = [], []
    generator = np.random.default_rng(0)
    for path in sorted(assets.glob("bsds500/val/groundTruth/*_a0.png"))[:3]:
        true = masks.from_label_map(np.asarray(Image.open(path)).astype(np.int64))[1]
        others = path.with_name(path.name.replace("_a0", "_a1"))
        given = masks.from_label_map(np.asarray(Image.open(others)).astype(np.int64))[1]
        truths.append(true)
        proposals.append(given[generator.permutation(len(given))])
    for limit in (1, 10, 100, 1000):
        for size in SIZES:
            expected = coco_average_recall(proposals, truths, limit, size)
            found = average_recall(proposals, truths, limit=limit, size=size)
            assert found == pytest.approx(expected, abs=1e-6)


def test_of_disjoint_truths_greedy_recall_is_that_of_best_matches():
    generator = np.random.default_rng(0)
    for _ in range(20):
        labels = np.kron(generator.integers(1, 9, (5, 5)), np.ones((4, 4), int))
        truths = masks.from_label_map(labels)[1]
        iou = masks.pairwise_iou(jittered(generator, truths, 30), truths)
        above = np.linspace(0.5001, 1, 50)
        greedy = (greedy_matches(iou, above) != UNMATCHED).mean(axis=1)
        best = best_match_recall(iou.max(axis=0), above)
        np.testing.assert_allclose(greedy, best, atol=1e-12)


def test_a_class_of_size_that_is_none_is_refused():
    truths = np.ones((1, 4, 4), bool)
    with pytest.raises(ValueError, match="no class of size 'tiny'"):
        average_recall([truths], [truths], size="tiny")
    with pytest.raises(ValueError, match="of size large"):
        average_recall([truths], [truths], size="large")


def test_equal_ious_choose_as_pycocotools():
    cells = np.eye(3, dtype=bool)[:, None, :].repeat(3, axis=1)
    left, right = cells[0] | cells[1], cells[1] | cells[2]
    truths = [np.stack([cells[0], cells[1], cells[1], cells[2]])]
    proposals = [np.stack([left, right, cells[0]])]
    expected = coco_average_recall(proposals, truths, 100)
    assert average_recall(proposals, truths) == pytest.approx(expected, abs=1e-6)


def test_a_prefix_matches_as_if_the_rest_were_absent():
    generator = np.random.default_rng(0)
    iou = generator.random((30, 9))
    whole = greedy_matches(iou)
    for count in (1, 5, 17):
        alone = recall_at(greedy_matches(iou[:count]), [count])
        assert recall_at(whole, [count])[0] == pytest.approx(alone[0], abs=0)


def test_one_proposal_serves_one_truth_only():
    iou = np.array([[0.9, 0.9]])
    assert recall_at(greedy_matches(iou, np.array([0.5])), [1])[0] == 0.5
    assert best_match_recall(iou[0], np.array([0.5]))[0] == 1


def test_perfect_is_one_and_nothing_is_zero():
    truths = random_masks(np.random.default_rng(1), 4)
    assert average_recall([truths], [truths]) == 1
    assert average_recall([truths[:0]], [truths]) == 0
    assert average_recall([truths, truths[:0]], [truths, truths[:0]]) == 1
    with pytest.raises(ValueError, match="no true mask"):
        average_recall([truths], [truths[:0]])


def test_thresholds_are_cocos():
    assert THRESHOLDS.tolist() == COCOeval(iouType="segm").params.iouThrs.tolist()
