"""The whole harness: what is written, and what may not change it."""

import csv
import io
import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

from maskspace import masks
from maskspace.data.dense import dense
from maskspace.evaluation import FILES, evaluate_models
from maskspace.evaluation.rows import measure_rows
from maskspace.evaluation.truth import read_truth
from maskspace.shown import SHOWN
from maskspace.types import Prediction


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_perfect_model_scores_one_and_every_file_is_written(samples, models, config, tmp_path):
    chosen = models("probability", "silent")
    metrics = evaluate_models({"rectangles": samples}, chosen, tmp_path, config=config)
    perfect, silent = metrics["rectangles"]["probability"], metrics["rectangles"]["silent"]
    for name in ("miou_at_1_center", "miou_at_1_random_049", "mean_best_iou_50", "ar_100",
                 "miou_at_3_center", "noc_95_center", "miou_at_1_random_best_level"):  # fmt: skip
        assert perfect[name] == 1, name
    assert perfect["nof_95_center"] == perfect["never_95_center"] == 0
    assert silent["mean_best_iou_50"] == silent["ar_100"] == silent["proposals"] == 0
    assert not any(name.startswith("miou") for name in silent)
    assert silent["not_answered"]["click"] == "silent cannot answer click; it answers propose"
    assert {path.name for path in tmp_path.iterdir()} == set(FILES)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics


def test_every_number_in_metrics_is_finite(samples, models, config, tmp_path):
    chosen = models("oracle", "constant", "silent")
    evaluate_models({"rectangles": samples}, chosen, tmp_path, config=config)

    def refuse(token):
        raise AssertionError(token)

    text = (tmp_path / "metrics.json").read_text()
    found = json.loads(text, parse_constant=refuse)
    for values in found["rectangles"].values():
        numbers = [v for v in values.values() if not isinstance(v, str | dict)]
        assert all(math.isfinite(number) for number in numbers)
        assert None not in values.values()


def test_tables_agree_with_the_metrics(samples, models, config, tmp_path):
    chosen = models("oracle", "constant")
    metrics = evaluate_models({"rectangles": samples}, chosen, tmp_path, config=config)
    for line in read_csv(tmp_path / "curves.csv"):
        value = metrics["rectangles"][line["model"]][f"mean_best_iou_{line['proposals']}"]
        assert float(line["mean_best_iou"]) == value
    lines = read_csv(tmp_path / "per_image.csv")
    assert len(lines) == 2 * len(samples)
    for model, values in metrics["rectangles"].items():
        rows = [line for line in lines if line["model"] == model]
        weights = np.array([int(line["masks"]) for line in rows])
        assert weights.sum() == values["masks"]
        for column, metric in (
            ("miou_at_1_center", "miou_at_1_center"),
            ("mean_best_iou_50", "mean_best_iou_50"),
        ):
            per_image = np.array([float(line[column]) for line in rows])
            assert (weights * per_image).sum() / weights.sum() == pytest.approx(values[metric])


def test_the_ranking_is_told_in_the_table_and_in_the_metrics(samples, models, config, tmp_path):
    told = {"oracle": "area, largest first"}
    chosen = models("oracle", "silent")
    metrics = evaluate_models({"a": samples}, chosen, tmp_path, config=config, ranking=told)
    assert metrics["a"]["oracle"]["ranking"] == "area, largest first"
    assert metrics["a"]["silent"]["ranking"] == "the truth's own order"
    table = (tmp_path / "table.txt").read_text()
    assert "oracle: proposals ranked by area, largest first" in table


def test_a_constant_output_is_said_and_marked(samples, models, config, tmp_path, capsys):
    chosen = models("oracle", "constant")
    metrics = evaluate_models({"rectangles": samples}, chosen, tmp_path, config=config)
    assert metrics["rectangles"]["constant"]["collapsed"] is True
    assert metrics["rectangles"]["oracle"]["collapsed"] is False
    complaints = capsys.readouterr().err.splitlines()
    assert len(complaints) == 1
    assert complaints[0].startswith("constant: the output is constant (std 0 on rectangles)")


def test_order_of_images_and_of_workers_changes_nothing(samples, models, config, tmp_path):
    def scattered(function, units):
        units = list(units)
        order = np.random.default_rng(0).permutation(len(units))
        done = {int(i): function(units[i]) for i in order}
        return [done[int(i)] for i in order[::-1]]

    chosen = models("oracle", "constant")
    one = evaluate_models({"r": samples}, chosen, tmp_path / "1", config=config)
    two = evaluate_models(
        {"r": samples[::-1]}, chosen, tmp_path / "2", config=config, map_units=scattered
    )
    assert one == two
    # Seconds stand in per_image.csv; the gallery shows the first images, which are others here.
    for name in set(FILES) - {"per_image.csv", SHOWN, "gallery.png", "report.html"}:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_killed_run_goes_on_where_it_stopped(samples, models, config, tmp_path):
    def killed(function, units):
        for count, unit in enumerate(units):
            if count == 4:
                raise KeyboardInterrupt
            yield function(unit)

    work = tmp_path / "work"
    before = models("oracle")
    with pytest.raises(KeyboardInterrupt):
        evaluate_models(
            {"r": samples}, before, tmp_path / "1", config=config, work=work, map_units=killed
        )
    assert not (tmp_path / "1").exists()
    (journal,) = work.iterdir()
    journal.write_text(journal.read_text()[:-7])
    after = models("oracle")
    resumed = evaluate_models({"r": samples}, after, tmp_path / "1", config=config, work=work)
    shown = config.gallery_images
    assert after["oracle"].asked == len(samples) - 3 + shown
    whole = evaluate_models({"r": samples}, models("oracle"), tmp_path / "2", config=config)
    assert resumed == whole
    again = models("oracle")
    assert whole == evaluate_models({"r": samples}, again, tmp_path / "1", config=config, work=work)
    assert again["oracle"].asked == 0  # all that is told and drawn was kept


#: What becomes of an image between two runs, and whether it has to be measured again.
CHANGES = {
    "nothing": (lambda sample: sample, False),
    "a copy": (lambda sample: replace(sample), False),
    "the image": (lambda sample: replace(sample, image=other_pixels(sample)), True),
    "a mask's pixels": (lambda one: with_first(one, counts=one.annotations[1].counts), True),
    "what is ignored": (lambda sample: with_first(sample, ignore=True), True),
    "a mask less": (lambda sample: replace(sample, annotations=sample.annotations[1:]), True),
    "the order of masks": (
        lambda sample: replace(sample, annotations=sample.annotations[::-1]), True
    ),
}  # fmt: skip


def other_pixels(sample):
    image = dense(sample).image.copy()
    image[0, 0] ^= 255
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def as_written(rows):
    return json.dumps([asdict(replace(row, seconds=0.0)) for row in rows])


def with_first(sample, **changed):
    first, *others = sample.annotations
    return replace(sample, annotations=(replace(first, **changed), *others))


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_measured_counts_while_image_and_truth_are_the_same(
    change, samples, models, config, tmp_path
):
    """A run that goes on says what a fresh one would, whatever was changed meanwhile."""
    made, again = CHANGES[change]
    changed = [samples[0], made(samples[1]), samples[2]]
    work = tmp_path / "work"
    config = replace(config, gallery_images=0)
    measure_rows("r", samples[:2], models("constant"), config=config, work=work)
    asked = models("constant")["constant"]
    embed, seen = asked.embed, []
    asked.embed = lambda image: seen.append(image) or embed(image)
    resumed = measure_rows("r", changed, {"constant": asked}, config=config, work=work)
    fresh = measure_rows("r", changed, models("constant"), config=config)
    assert as_written(resumed) == as_written(fresh)
    assert len(seen) == 1 + again


def test_another_question_does_not_reuse_the_answers(samples, models, config, tmp_path):
    work = tmp_path / "work"
    evaluate_models({"r": samples}, models("oracle"), tmp_path, config=config, work=work)
    chosen = models("oracle")
    other = replace(config, min_area=256, gallery_images=0)
    evaluate_models({"r": samples}, chosen, tmp_path, config=other, work=work)
    assert chosen["oracle"].asked > 0


def test_images_without_a_large_mask_are_counted_and_not_shown(samples, models, config, tmp_path):
    empty = replace(samples[0], key="empty", annotations=())
    chosen = models("oracle")
    metrics = evaluate_models({"r": [*samples, empty]}, chosen, tmp_path, config=config)["r"]
    assert metrics["oracle"]["images"] == len(samples)
    assert metrics["oracle"]["images_without_truth"] == 1
    with pytest.raises(ValueError, match="none of 1 images has a mask of at least 100 pixels"):
        evaluate_models({"r": [empty]}, chosen, tmp_path, config=config)


def test_a_mask_of_another_size_is_refused_with_its_key(samples, models, config, tmp_path):
    wrong = replace(samples[0], size_hw=(32, 128))
    with pytest.raises(ValueError, match="rectangles-000000"):
        evaluate_models({"r": [wrong]}, models("oracle"), tmp_path / "out", config=config)
    assert not (tmp_path / "out").exists()


def test_two_images_of_one_key_are_refused(samples, models, config, tmp_path):
    twice = [samples[0], samples[0]]
    with pytest.raises(ValueError, match="two images have this key"):
        evaluate_models({"r": twice}, models("oracle"), tmp_path, config=config)


def test_proposals_of_another_size_are_refused(samples, models, config, tmp_path):
    chosen = models("silent")
    propose = chosen["silent"].propose
    chosen["silent"].propose = lambda image, limit: propose(image[:-1], limit)
    with pytest.raises(ValueError, match="rectangles-000000: silent proposes masks of"):
        evaluate_models({"r": samples}, chosen, tmp_path, config=config)


def test_ignored_pixels_count_neither_for_nor_against(samples, models, config, tmp_path):
    """Ignoring what one model gets wrong makes it perfect."""
    chosen = models("oracle")
    sample = samples[0]
    corner = np.zeros((1, *sample.size_hw), bool)
    corner[0, :16, :16] = True
    annotation = sample.annotations[0]
    ignored = replace(annotation, id=99, counts=masks.encode(corner)[0], area=256, ignore=True)
    propose, click = chosen["oracle"].propose, chosen["oracle"].click
    chosen["oracle"].propose = lambda image, limit: Prediction(
        propose(image, limit).masks ^ corner, propose(image, limit).scores
    )
    chosen["oracle"].click = lambda image, clicks: click(image, clicks) ^ corner[0]
    wrong = evaluate_models({"r": [sample]}, chosen, tmp_path, config=config)["r"]["oracle"]
    marked = replace(sample, annotations=(*sample.annotations, ignored))
    right = evaluate_models({"r": [marked]}, chosen, tmp_path, config=config)["r"]["oracle"]
    for name in ("miou_at_1_center", "mean_best_iou_50"):
        assert wrong[name] < 1
        assert right[name] == 1


def test_several_datasets_share_the_files(samples, models, config, tmp_path):
    datasets = {"first": samples[:3], "second": samples[3:]}
    metrics = evaluate_models(datasets, models("oracle", "silent"), tmp_path, config=config)
    assert list(metrics) == ["first", "second"]
    assert {line["dataset"] for line in read_csv(tmp_path / "curves.csv")} == {"first", "second"}
    for name in ("curve.png", "scatter.png", "gallery.png", "cases.png", "clicks.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 200


@pytest.mark.parametrize(
    ("method", "answer", "told"),
    [
        (
            "click",
            lambda image, _: np.ones((5, 7), bool),
            r"answers a click with a mask of \(5, 7\)",
        ),
        ("hierarchy", lambda image: Tree(np.ones((5, 7), np.int32)), r"partitions into regions of"),
        ("propose", lambda image, limit: NO_PROPOSALS, r"proposes masks of \(5, 7\)"),
    ],
)
def test_an_answer_of_another_size_names_image_and_model(
    samples, models, config, tmp_path, method, answer, told
):
    chosen = models("oracle", "constant")
    setattr(chosen["constant"], method, answer)
    with pytest.raises(ValueError, match=f"^(r/)?rectangles-000000: constant {told}"):
        evaluate_models({"r": samples}, chosen, tmp_path / "out", config=config)
    assert not (tmp_path / "out").exists()


NO_PROPOSALS = Prediction(np.zeros((0, 5, 7), bool), np.zeros(0, np.float32))


class Tree:
    """Nested partitions, all of them the same."""

    max_regions = 1

    def __init__(self, labels):
        self.labels = labels

    def partition(self, regions):
        return self.labels


def test_an_annotator_of_nothing_visible_is_left_out(samples):
    sample = samples[0]
    everything = np.ones((1, *sample.size_hw), bool)
    last = sample.annotations[-1]
    alone = replace(last, id=90, layer=7)
    hidden = masks.decode([last.counts], sample.size_hw)
    ignored = replace(last, id=91, counts=masks.encode(hidden)[0], ignore=True)
    both = replace(sample, annotations=(*sample.annotations, alone, ignored))
    assert len(read_truth(sample, min_area=1).label_maps) == 1
    assert len(read_truth(both, min_area=1).label_maps) == 1
    all_hidden = replace(ignored, counts=masks.encode(everything)[0])
    none = read_truth(replace(sample, annotations=(*sample.annotations, all_hidden)), min_area=1)
    assert none.label_maps == () and len(none.masks) == 0


def test_one_bad_image_loses_none_of_the_others(samples, models, config, tmp_path):
    """What was measured before it is kept; mended, the run goes on there and ends the same."""
    broken = [*samples[:4], replace(samples[4], image=b"no image"), *samples[5:]]
    work = tmp_path / "work"
    with pytest.raises(ValueError, match=samples[4].key):
        evaluate_models({"r": broken}, models("oracle"), tmp_path, config=config, work=work)
    after = models("oracle")
    mended = evaluate_models({"r": samples}, after, tmp_path, config=config, work=work)
    assert after["oracle"].asked == len(samples) - 4 + config.gallery_images
    assert mended == evaluate_models({"r": samples}, models("oracle"), tmp_path, config=config)


@pytest.mark.parametrize("name", ["a/b:../../c", "..", "bsds500:/data/x y"])
def test_rows_stay_in_their_folder_whatever_a_dataset_is_called(
    samples, models, config, tmp_path, name
):
    work = tmp_path / "out" / "work"
    evaluate_models(
        {name: samples[:1]}, models("oracle"), tmp_path / "out", config=config, work=work
    )
    assert [path.parent for path in tmp_path.rglob("*.jsonl")] == [work]


def test_images_without_proposals_are_zeros_and_lose_nothing(samples, models, config, tmp_path):
    """A model that proposes nothing on some images scores 0 there, and is measured on all."""
    chosen = models("oracle")
    propose, empty = chosen["oracle"].propose, samples[0]
    image = dense(empty).image.tobytes()
    chosen["oracle"].propose = lambda given, limit: replace_masks(
        propose(given, limit), 0 if given.tobytes() == image else None
    )
    metrics = evaluate_models({"r": samples}, chosen, tmp_path, config=config)["r"]["oracle"]
    rest = evaluate_models({"r": samples[1:]}, models("oracle"), tmp_path / "2", config=config)
    assert metrics["images"] == len(samples)
    assert rest["r"]["oracle"]["mean_best_iou_50"] == 1
    expected = rest["r"]["oracle"]["masks"] / metrics["masks"]
    assert metrics["mean_best_iou_50"] == pytest.approx(expected)
    assert metrics["ar_100"] == pytest.approx(expected)


def replace_masks(proposals, number):
    return Prediction(proposals.masks[:number], proposals.scores[:number])
