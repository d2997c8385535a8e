import numpy as np
import pytest

from maskspace import masks
from maskspace.evaluation.measures.features import embedding_std
from maskspace.evaluation.rows import measure_rows
from maskspace.evaluation.summary import summarize
from maskspace.evaluation.truth import read_truth
from maskspace.metrics.best_iou import mean_best_iou
from maskspace.metrics.recall import average_recall
from maskspace.types import Embedding, Prediction


def test_pooled_numbers_equal_the_metrics_on_all_images(samples, models, config):
    """Rows hold counts and lists; pooled, they are the metric functions' own values."""
    chosen = models("oracle")
    generator = np.random.default_rng(0)
    propose = chosen["oracle"].propose
    noisy = {}

    def corrupted(image, limit):
        if image.tobytes() not in noisy:
            found = propose(image, limit).masks
            found = np.concatenate([found, found]) ^ (
                generator.random((2 * len(found), *image.shape[:2])) < generator.choice([0.02, 0.1])
            )
            noisy[image.tobytes()] = found[generator.permutation(len(found))]
        found = noisy[image.tobytes()]
        return Prediction(found, np.ones(len(found), np.float32))

    chosen["oracle"].propose = corrupted
    rows = measure_rows("r", samples, chosen, config=config)
    summary = summarize(rows, config=config, ranking={"oracle": ""})["oracle"]
    truths = [read_truth(sample, min_area=config.min_area) for sample in samples]
    found = [noisy[truth.image.tobytes()] for truth in truths]
    for count in config.recall_counts:
        expected = average_recall(found, [truth.masks for truth in truths], limit=count)
        assert summary[f"ar_{count}"] == pytest.approx(expected, abs=1e-12)
    for count in config.proposal_counts:
        weights = [len(truth.masks) for truth in truths]
        values = [
            mean_best_iou(proposed, truth.masks, limit=count)
            for proposed, truth in zip(found, truths, strict=True)
        ]
        assert summary[f"mean_best_iou_{count}"] == pytest.approx(
            np.average(values, weights=weights)
        )


def test_feature_std_is_that_of_the_finest_level():
    generator = np.random.default_rng(0)
    fine = generator.random((3, 8, 8)).astype(np.float32)
    coarse = np.zeros((12, 4, 4), np.float32)
    expected = np.mean([channel.std() for channel in fine])
    assert embedding_std(Embedding({2: coarse, 1: fine})) == pytest.approx(expected, rel=1e-6)
    assert embedding_std(Embedding({1: np.full((3, 9, 9), 0.1, np.float32)})) < 1e-8


def test_truths_below_the_smallest_area_are_counted_apart(samples):
    truth = read_truth(samples[0], min_area=256)
    assert (masks.areas(truth.masks) >= 256).all()
    assert truth.too_small + len(truth.masks) == len(samples[0].annotations)
    assert len(truth.ids) == len(truth.masks)


def test_a_row_says_how_long_the_answers_took(samples, models, config):
    (row,) = measure_rows("r", samples[:1], models("oracle"), config=config)
    assert row.seconds > 0
    assert row.masks == len(row.first_ious("center")) == len(row.kept["mean_best_iou_50"])
