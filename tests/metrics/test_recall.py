import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskspace import masks
from maskspace.metrics.best_iou import best_match_recall
from maskspace.metrics.recall import THRESHOLDS, average_recall, greedy_matches, recall_at


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


def coco_average_recall(proposals, truths, limit):
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
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["recall"].mean())


@pytest.mark.parametrize("limit", [1, 10, 100])
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
