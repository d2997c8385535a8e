"""The table of measures: one line of it is a number in every file; laws of each measure."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from maskspace import masks
from maskspace.evaluation import evaluate_models, measures
from maskspace.evaluation.measures import MEASURES, Figure, Measure, figures_of, measures_of
from maskspace.evaluation.measures.panoptic import painted
from maskspace.evaluation.proposed import Proposed
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.boundary_iou import boundary_iou
from maskspace.metrics.dice import dice
from maskspace.types import Prediction


def widest(config):
    """A toy measure: the share of the image's width that the widest mask after a click covers."""
    run = config.interactive.headline
    yield Measure(
        name="widest",
        question="click",
        run=run.name,
        of_part=lambda mask, true, ignore: float(mask.any(axis=0).mean()),
        of_image=lambda widths, truth: [max(widths)],
        figures=(
            Figure(
                name="widest_at_1",
                title="widest",
                explained="share of the width that the widest mask covers, a mean over images.",
            ),
        ),
    )


def test_a_line_of_the_table_is_a_number_in_every_file(
    samples, models, config, tmp_path, monkeypatch
):
    monkeypatch.setattr(measures, "MEASURES", {**MEASURES, "widest": widest})
    chosen = models("oracle", "constant")
    metrics = evaluate_models({"d": samples[:2]}, chosen, tmp_path, config=config)["d"]
    assert metrics["constant"]["widest_at_1"] == 1
    assert 0 < metrics["oracle"]["widest_at_1"] < 1
    assert json.loads((tmp_path / "metrics.json").read_text())["d"] == metrics
    with (tmp_path / "per_image.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["model"] == "oracle"]
    mean = np.mean([float(line["widest_at_1"]) for line in lines])
    assert mean == pytest.approx(metrics["oracle"]["widest_at_1"])
    table = (tmp_path / "table.txt").read_text()
    assert "widest" in table.splitlines()[0]
    assert f"{metrics['oracle']['widest_at_1']:.3f}" in table
    page = (tmp_path / "report.html").read_text()
    assert "<dt>widest</dt><dd>share of the width that the widest mask covers" in page
    assert "widest_at_1" in (tmp_path / "comparisons.csv").read_text()
    bounds = metrics["oracle"]["interval_95"]["widest_at_1"]
    assert bounds["low"] <= metrics["oracle"]["widest_at_1"] <= bounds["high"]


def test_names_are_of_one_figure_and_titles_are_explained(config):
    names = [column.name for m in measures_of(config).values() for column in m.figures]
    assert len(names) == len(set(names))
    assert all(column.explained for column in figures_of(config).values() if column.title)


def test_dice_and_boundary_iou_are_of_the_clicked_masks(samples, models, config, tmp_path):
    few = samples[:2]
    found = evaluate_models({"d": few}, models("constant"), tmp_path, config=config)["d"][
        "constant"
    ]
    truth = np.concatenate([read_truth(one, min_area=config.min_area).masks for one in few])
    whole = np.ones_like(truth)
    assert found["dice_at_1"] == pytest.approx(dice(whole, truth).mean())
    assert found["boundary_iou_at_1"] == pytest.approx(boundary_iou(whole, truth).mean())


def test_a_perfect_model_has_the_best_of_every_number(samples, models, config, tmp_path):
    found = evaluate_models({"d": samples}, models("oracle"), tmp_path, config=config)["d"]
    for name in ("dice_at_1", "boundary_iou_at_1", "miou_at_1_center"):
        assert found["oracle"][name] == 1


def test_what_the_data_lack_is_said_once_and_not_reported(samples, models, config, tmp_path):
    chosen = models("oracle", "constant")
    found = evaluate_models({"d": samples[:2]}, chosen, tmp_path, config=config)["d"]
    assert "boundary_f_ods" not in found["oracle"]
    assert "without a region" in found["oracle"]["lacking"]["boundary_f"]
    table = (tmp_path / "table.txt").read_text()
    assert table.count("d: no boundary_f: 2 of 2 images: an annotator leaves") == 1
    assert "without a region" in (tmp_path / "report.html").read_text()


def blobs(seed, number=5):
    """A label map that covers the image, of smooth regions."""
    noise = np.random.default_rng(seed).random((number, 40, 50))
    smooth = [ndimage.gaussian_filter(one, 5) for one in noise]
    return (np.argmax(smooth, axis=0) + 1).astype(np.int64)


def truth_of(labels, ignore=None):
    ids, stack = masks.from_label_map(labels)
    return Truth(
        key="k",
        image=np.zeros((*labels.shape, 3), np.uint8),
        masks=stack,
        ids=tuple(ids.tolist()),
        ignore=np.zeros(labels.shape, bool) if ignore is None else ignore,
        too_small=0,
        label_maps=(labels,),
    )


def measured(name, config, answer, truths):
    """The numbers of a measure, given an answer to each truth."""
    measure = measures_of(config)[name]
    assert all(measure.lacks(truth) is None for truth in truths)
    kept = [measure.of_image(answer(measure, truth), truth) for truth in truths]
    return {column.name: column.of_dataset(kept) for column in measure.figures}


def test_boundaries_of_the_truth_have_f_1_and_those_of_another_map_less(config):
    truths = [truth_of(blobs(seed)) for seed in range(3)]

    def scales(seed):
        def answer(measure, truth):
            index = next(i for i, one in enumerate(truths) if one is truth)
            return [measure.of_part(blobs(index + seed), truth)]

        return answer

    same = measured("boundary_f", config, scales(0), truths)
    other = measured("boundary_f", config, scales(9), truths)
    assert same == {"boundary_f_ods": 1, "boundary_f_ois": 1, "boundary_f_ap": 0}  # of one scale
    assert other["boundary_f_ods"] == other["boundary_f_ois"] < 1


def proposed(stack, truth):
    scores = np.ones(len(stack), np.float32)
    return Proposed(Prediction(stack, scores), iou_table(stack, truth.masks), 10)


def test_panoptic_quality_of_the_truth_is_1_and_a_segment_less_costs_its_share(config):
    truths = [truth_of(blobs(seed)) for seed in range(3)]
    name = "panoptic_quality"
    whole = measured(name, config, lambda m, truth: proposed(truth.masks, truth), truths)
    fewer = measured(name, config, lambda m, truth: proposed(truth.masks[1:], truth), truths)
    segments = sum(len(truth.masks) for truth in truths)
    assert whole[name] == 1
    assert fewer[name] == pytest.approx((segments - 3) / (segments - 3 + 3 / 2))


def test_instances_of_the_truth_are_all_found_and_each_one_less_costs_its_share(config):
    truths = [truth_of(blobs(seed)) for seed in range(3)]
    whole = measured("instances", config, lambda m, truth: proposed(truth.masks, truth), truths)
    fewer = measured("instances", config, lambda m, truth: proposed(truth.masks[1:], truth), truths)
    instances = sum(len(truth.masks) for truth in truths)
    assert whole == {"instances_50": 1, "instance_score": 1}
    assert fewer["instances_50"] == pytest.approx((instances - 3) / instances)


def test_instances_that_are_not_all_asked_for_are_not_measured(config):
    few = replace(config, proposal_counts=(1,), recall_counts=())
    truth = truth_of(blobs(0))
    assert "--proposals" in measures_of(few)["instances"].lacks(truth)
    assert measures_of(config)["instances"].lacks(truth) is None


def test_masks_that_nest_are_no_segments(config):
    truth = truth_of(blobs(0))
    nested = replace(truth, masks=np.concatenate([truth.masks, truth.masks[:1]]))
    for name in ("panoptic_quality", "instances"):
        lacks = measures_of(config)[name].lacks
        assert lacks(truth) is None
        assert "overlap" in lacks(nested)


def test_a_mask_that_shows_less_than_half_is_dropped():
    row = np.arange(8)[None]
    ranked = np.stack([row < 5, row < 8, row >= 4])
    assert painted(ranked).tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]
    assert painted(ranked[:0]).tolist() == [[0] * 8]
