from dataclasses import replace

import numpy as np
import pytest

from maskspace import tracking
from maskspace.cli import main
from maskspace.serving.config import PromotionMetric, RegisterConfig
from workflows import register

METRIC = PromotionMetric(datasets=("a", "b"), name="mean_best_iou_50")
CONFIG = RegisterConfig(model_name="student", metric=METRIC)


def evaluated(folder, values, *, images=24, masks=3):
    """An evaluation of each dataset: values about a mean, the same noise for every mean."""
    for dataset, mean in values.items():
        (folder / dataset).mkdir(parents=True)
        noise = np.random.default_rng(len(dataset)).uniform(-0.2, 0.2, images)
        lines = ["dataset,model,key,masks,mean_best_iou_50,seconds"]
        for model in ("student", "peer"):
            lines += [
                f"{dataset},{model},{key},{masks},{mean + n - noise.mean()},0.1"
                for key, n in enumerate(noise)
            ]
        (folder / dataset / "per_image.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_the_metric_is_the_mean_over_the_named_datasets(tmp_path):
    folder = evaluated(tmp_path, {"a": 0.5, "b": 0.25, "c": 0.0})
    assert register.measured_in(folder, METRIC).value == pytest.approx(0.375)


def test_a_metric_that_was_not_measured_is_told(tmp_path):
    metric = PromotionMetric(datasets=("a",), name="miou")
    with pytest.raises(ValueError, match=r"register\.metric: .*no miou .* has .*mean_best_iou_50"):
        register.measured_in(evaluated(tmp_path, {"a": 0.5}), metric)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of its own that others might share."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    for name in register.EXPERIMENT:
        monkeypatch.delenv(name, raising=False)
    client = tracking._client()
    client.create_registered_model("student")
    return client


def version(store, folder, a, b, **evaluation):
    """A version whose run holds its evaluation, and what it was measured by."""
    place = evaluated(folder, {"a": a, "b": b}, **evaluation)
    with tracking.run("register", "student") as run:
        for dataset in ("a", "b"):
            run.log_artifacts(place / dataset, f"evaluate/{dataset}")
    measured = register.measured_in(place, METRIC)
    created = store.create_model_version(
        "student", str(folder), run_id=run.id, tags={"comparison": measured.comparison}
    )
    return tracking._version(created), measured


def test_only_a_better_version_becomes_champion(store, tmp_path):
    first, same, better = (
        version(store, tmp_path / name, value, 0.3)
        for name, value in (("first", 0.5), ("same", 0.5), ("better", 0.6))
    )
    receipt = register.promote(first[0], CONFIG, first[1])
    assert (receipt.champion, receipt.previous) == (True, None)
    receipt = register.promote(same[0], CONFIG, same[1])
    assert (receipt.champion, receipt.previous) == (False, "1")
    assert "not better beyond chance: 0.0000" in receipt.reason
    receipt = register.promote(better[0], CONFIG, better[1])
    assert (receipt.champion, receipt.previous) == (True, "1")
    assert receipt.reason.startswith("better by 0.0500")
    receipt = register.promote(better[0], CONFIG, better[1])
    assert (receipt.champion, receipt.previous) == (True, "3")


@pytest.mark.parametrize("other", [{"images": 23}, {"masks": 4}])
def test_only_like_is_compared(store, tmp_path, other):
    first = version(store, tmp_path / "first", 0.5, 0.3)
    register.promote(first[0], CONFIG, first[1])
    better = version(store, tmp_path / "better", 0.9, 0.9, **other)
    receipt = register.promote(better[0], CONFIG, better[1])
    assert not receipt.champion and "on other images" in receipt.reason
    assert tracking.champion("student").version == "1"


def test_another_metric_is_not_compared(store, tmp_path):
    first = version(store, tmp_path / "first", 0.5, 0.3)
    register.promote(first[0], CONFIG, first[1])
    other = version(store, tmp_path / "other", 0.9, 0.9)
    metric = replace(METRIC, name="seconds")
    measured = register.measured_in(tmp_path / "other", metric)
    receipt = register.promote(other[0], replace(CONFIG, metric=metric), measured)
    # the champion is measured anew by that metric, from what its run holds
    assert not receipt.champion and "0.0000" in receipt.reason


WITHHELD = [
    ("own", {}, "", True),
    ("own", {"DVC_EXP_NAME": "trial"}, "", False),
    ("own", {}, ".profiles/tiny", False),
    ("always", {"DVC_EXP_NAME": "trial"}, ".profiles/tiny", True),
    ("never", {}, "", False),
]


@pytest.mark.parametrize(("policy", "environment", "folder", "champion"), WITHHELD)
def test_experiments_and_profiles_move_no_shared_alias_unless_asked(
    store, tmp_path, monkeypatch, policy, environment, folder, champion
):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)
    made, measured = version(store, tmp_path / "made", 0.5, 0.3)
    receipt = register.promote(made, replace(CONFIG, promote=policy), measured)
    assert receipt.champion == champion
    assert (tracking.champion("student") is not None) == champion
    assert champion or "maskspace registry promote" in receipt.reason


def test_a_profile_has_a_champion_in_its_own_store(store, tmp_path, monkeypatch):
    workspace = tmp_path / ".profiles" / "tiny"
    workspace.mkdir(parents=True)
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    own = tracking._client()
    own.create_registered_model("student")
    made, measured = version(own, tmp_path / "made", 0.5, 0.3)
    assert register.promote(made, CONFIG, measured).champion


def test_promotions_are_taken_back_one_by_one(store, tmp_path, capsys):
    for name, value in (("one", 0.3), ("two", 0.5), ("three", 0.7)):
        made, measured = version(store, tmp_path / name, value, 0.3)
        register.promote(made, CONFIG, measured)
    command = ["--name", "student"]
    assert main(["registry", "show", *command]) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3 and told[0].startswith("   3") and told[0].endswith("champion")
    for standing in ("models:/student/2 is", "models:/student/1 is", "no version is"):
        assert main(["registry", "rollback", *command]) == 0
        assert standing in capsys.readouterr().out
    assert main(["registry", "rollback", *command]) == 2
    assert main(["registry", "promote", *command, "2"]) == 0
    assert tracking.champion("student").version == "2"
    assert main(["registry", "promote", *command, "9"]) == 2
    assert "no such version" in capsys.readouterr().err
    assert main(["registry", "show", "--name", "nobody"]) == 2
