import json

import pytest

from maskspace import tracking
from maskspace.serving.config import PromotionMetric, RegisterConfig
from workflows import register

METRIC = PromotionMetric(datasets=("a", "b"), name="mean_best_iou_50")
CONFIG = RegisterConfig(model_name="student", metric=METRIC)


def evaluated(folder, **values):
    for dataset, value in values.items():
        (folder / dataset).mkdir()
        metrics = {dataset: {"student": {"mean_best_iou_50": value}, "peer": {}}}
        (folder / dataset / "metrics.json").write_text(json.dumps(metrics))
    return folder


def test_the_metric_is_the_mean_over_the_named_datasets(tmp_path):
    assert register.mean_metric(METRIC, evaluated(tmp_path, a=0.5, b=0.25, c=0.0)) == 0.375


def test_a_metric_that_was_not_measured_is_told(tmp_path):
    metric = PromotionMetric(datasets=("a",), name="miou")
    with pytest.raises(ValueError, match=r"register\.metric\.name: 'miou' .* has mean_best_iou_50"):
        register.mean_metric(metric, evaluated(tmp_path, a=0.5))


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """Three versions of one model in a store of their own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = tracking._client()
    client.create_registered_model("student")
    made = []
    for value in (0.5, 0.5, 0.6):
        created = client.create_model_version("student", str(tmp_path), tags={"value": str(value)})
        made.append(tracking._version(created))
    return made


def test_only_a_better_version_becomes_champion(versions):
    first, same, better = versions
    receipt = register.promote(first, CONFIG, 0.5)
    assert (receipt.champion, receipt.previous) == (True, None)
    receipt = register.promote(same, CONFIG, 0.5)
    assert (receipt.champion, receipt.previous) == (False, "1")
    assert tracking.champion("student") == first
    receipt = register.promote(better, CONFIG, 0.6)
    assert (receipt.champion, receipt.previous) == (True, "1")
    receipt = register.promote(better, CONFIG, 0.6)
    assert (receipt.champion, receipt.previous) == (True, "3")
