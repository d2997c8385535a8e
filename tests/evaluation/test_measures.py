"""The table of measures: one line of it is a number in every file; laws of each measure."""

import csv
import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from maskspace import masks
from maskspace.data.annotations import annotate_coded
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.source import Source
from maskspace.evaluation import evaluate_models, measures
from maskspace.evaluation.classified import classify
from maskspace.evaluation.measures import MEASURES, Figure, Measure, figures_of, measures_of
from maskspace.evaluation.measures.class_map import resampled
from maskspace.evaluation.ranked_proposals import Proposed, painted
from maskspace.evaluation.rows import measure_rows
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.loaded import Segmenter
from maskspace.masks.iou_table import iou_table
from maskspace.metrics.boundary_iou import boundary_iou
from maskspace.metrics.dice import dice
from maskspace.types import Category, Prediction, Sample


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


NAMED = ("sky", "car", "road")
THINGS = {"sky": False, "car": True, "road": False}


def classed(seed):
    """A truth of smooth regions, of which each has a class."""
    labels = blobs(seed)
    truth = truth_of(labels)
    classes = tuple((number % 3) + 1 for number in truth.ids)
    class_map = np.array([0, *((number % 3) + 1 for number in range(1, 6))])[labels]
    return replace(truth, things=THINGS, classes=classes, class_map=class_map)


def answered(truth, stack, names, categories):
    found = Prediction(
        stack,
        np.ones(len(stack), np.float32),
        np.array([[one.name for one in categories].index(name) for name in names]),
    )
    return classify(Proposed(found, iou_table(stack, truth.masks), 10), categories, truth)


def class_numbers(config, truths, answer):
    found = {}
    for name in ("class_map", "class_panoptic"):
        found |= measured(name, config, lambda m, truth: answer(truth), truths)
    return found


def test_true_classes_have_1_in_any_order_of_the_models_table_and_wrong_ones_0(config):
    truths = [classed(seed) for seed in range(3)]
    for order in (NAMED, NAMED[::-1], ("tree", *NAMED)):
        table = [Category(id=9 + k, name=name) for k, name in enumerate(order)]

        def right(truth, table=table):
            names = [NAMED[one - 1] for one in truth.classes]
            return answered(truth, truth.masks, names, table)

        def wrong(truth, table=table):
            names = [NAMED[one % 3] for one in truth.classes]
            return answered(truth, truth.masks, names, table)

        assert set(class_numbers(config, truths, right).values()) == {1}
        assert set(class_numbers(config, truths, wrong).values()) == {0}


def test_pixels_of_a_class_count_over_images_and_stuff_is_one_segment(config):
    truth = replace(classed(0), ids=(1, 2))
    halves = np.zeros((2, 40, 50), bool)
    halves[0, :, :25], halves[1, :, 25:] = True, True
    whole = np.ones((1, 40, 50), bool)
    sky = replace(truth, masks=whole, ids=(1,), classes=(1,), class_map=np.ones((40, 50), int))
    car = replace(sky, classes=(2,), class_map=np.full((40, 50), 2))
    table = [Category(id=k, name=name) for k, name in enumerate(NAMED)]
    of_sky = class_numbers(config, [sky], lambda t: answered(t, halves, ["sky", "sky"], table))
    assert of_sky["class_panoptic_quality"] == of_sky["class_iou"] == 1
    of_car = class_numbers(config, [car], lambda t: answered(t, halves, ["car", "car"], table))
    assert (of_car["class_iou"], of_car["class_panoptic_quality"]) == (1, 0)  # two half cars
    both = class_numbers(config, [sky, car], lambda t: answered(t, whole, ["sky"], table))
    assert both["pixel_accuracy"] == both["mean_pixel_accuracy"] == 0.5
    assert both["class_iou"] == 0.25  # half of the sky's union, nothing of the car


def test_resampled_classes_are_sums_over_images():
    rng = np.random.default_rng(0)
    table, times = rng.random((4, 3, 2)), rng.integers(0, 3, (5, 4)).astype(float)
    kept = [[[k + 1, *one[k]] for k in range(3) if one[k].any()] for one in table]
    assert resampled(kept, times) == pytest.approx(np.tensordot(times, table, 1))


def test_classes_are_measured_of_a_model_that_answers_them_where_the_data_are_dense(config):
    """Through rows: the table of the data set and of the model, by their names."""
    keys, (coded, *_) = ("a", "b"), [coded_label_map(blobs(0), categories={1: 4, 2: 4, 3: 8})]
    whole = coded_label_map(blobs(1), categories=dict.fromkeys(range(1, 6), 4))
    png = BytesIO()
    Image.new("RGB", (50, 40)).save(png, format="PNG")

    def sample(index):
        return Sample(
            key=keys[index], dataset="d", image=png.getvalue(), extension="png", size_hw=(40, 50),
            annotations=annotate_coded((coded, whole)[index], (40, 50)),
        )  # fmt: skip

    table = (Category(id=4, name="sky", is_thing=False), Category(id=8, name="car"))
    source = Source(keys=keys, splits=(None,) * 2, read=sample, categories=table)

    class Sky(Segmenter):
        name, ranking, answers = "sky", "nothing", frozenset({"propose", "classes"})
        categories = (Category(id=1, name="sky"),)

        def propose(self, image, limit=100):
            return Prediction(np.ones((1, 40, 50), bool), np.ones(1, np.float32), np.zeros(1, int))

    class Classless(Sky):
        name, answers = "classless", frozenset({"propose"})

    rows = measure_rows("d", source, {"sky": Sky(), "classless": Classless()}, config=config)
    kept = {(row.model, row.key): row for row in rows}
    assert "class_map" in kept["sky", "a"].lacks and "class_map" not in kept["sky", "a"].kept
    assert kept["sky", "b"].kept["class_map"] == [[1, 2000, 2000, 2000]]
    assert kept["sky", "b"].kept["class_panoptic"][0][0] == 1
    assert not {"class_map", "class_panoptic"} & {
        *kept["classless", "b"].kept, *kept["classless", "b"].lacks
    }  # fmt: skip
