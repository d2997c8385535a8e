"""The tables of clicks say what the metrics say."""

import csv
from dataclasses import replace

import pytest

from maskspace.evaluation import evaluate_models
from maskspace.evaluation.click_table import click_table


def read_csv(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def measured(samples, models, config, tmp_path):
    asked = replace(
        config.interactive, modes=("claims", "iterative"), max_clicks=4, target_iou=1.01
    )
    metrics = evaluate_models(
        {"r": samples}, models("refining", "oracle", "silent"), tmp_path,
        config=replace(config, interactive=asked),
    )  # fmt: skip
    return metrics, tmp_path


def test_the_means_of_the_samples_are_the_metrics(measured):
    metrics, folder = measured
    lines = read_csv(folder / "per_sample.csv")
    assert {line["model"] for line in lines} == {"refining", "oracle"}
    assert {line["mode"] for line in lines if line["model"] == "oracle"} == {"own"}
    rounds = [line for line in lines if line["mode"] == "iterative"]
    values = metrics["r"]["refining"]
    assert len(rounds) == values["masks"]
    for k in range(1, 5):
        mean = sum(float(line[f"iou_{k}"]) for line in rounds) / len(rounds)
        assert mean == pytest.approx(values[f"miou_at_{k}_center_iterative"], abs=1e-12)
    clicks = [int(line["noc_85"]) for line in rounds]
    assert sum(clicks) / len(clicks) == pytest.approx(values["noc_85_center_iterative"])
    assert all(float(line["area"]) >= 100 and line["key"] for line in lines)
    assert len({(line["key"], line["mask_id"]) for line in rounds}) == len(rounds)


def test_one_click_leaves_the_other_cells_empty(measured):
    _, folder = measured
    once = [x for x in read_csv(folder / "per_sample.csv") if x["clicker"] == "random"]
    assert once and all(x["iou_1"] and not x["iou_2"] and not x["noc_85"] for x in once)


def test_the_curve_is_in_the_table_of_clicks(measured):
    metrics, folder = measured
    for line in read_csv(folder / "clicks.csv"):
        value = metrics["r"][line["model"]][f"miou_at_{line['clicks']}_{line['run']}"]
        assert float(line["miou"]) == value


def test_the_printed_table_has_a_line_a_run_and_the_protocol(measured):
    metrics, folder = measured
    table = click_table(metrics)
    assert (folder / "table.txt").read_text().endswith(table)
    head, *lines = table.splitlines()
    for title in ("mIoU@1", "mIoU@3", "best level", "NoC90", "NoF95", "never85", "outside"):
        assert title in head
    assert sum("refining" in line for line in lines) == 5
    assert "silent" not in table
    assert lines[-1].startswith("protocol maskspace: ")


def test_nothing_clicked_is_no_table(samples, models, config, tmp_path):
    metrics = evaluate_models({"r": samples}, models("silent"), tmp_path, config=config)
    assert click_table(metrics) == ""
    assert read_csv(tmp_path / "per_sample.csv") == []
