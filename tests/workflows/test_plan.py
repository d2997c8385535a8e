"""What is known before a run: every parameter checked, every input found, what would be done."""

from pathlib import Path

import pytest

from maskspace.config import read_params
from maskspace.evaluation.measuring import NUMBERS
from maskspace.evaluation.reporting import DRAWN
from workflows import frame, plan, profiles
from workflows.frame import outputs

ROOT = Path(__file__).resolve().parents[2]
STAGES = read_params(ROOT / "dvc.yaml")["stages"]


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def test_what_is_measured_and_drawn_is_what_the_stages_make():
    params = read_params(Path("params.yaml"))
    item = next(iter(params["shards"]))
    for stage, names in (("evaluate", NUMBERS), ("report", DRAWN)):
        made = outputs(stage, item, params)
        assert sorted(made) == sorted(Path("build", stage, item, name) for name in names)


def test_params_and_every_profile_can_run(tmp_path):
    plan._check_sections(Path("params.yaml"))
    for path in sorted(Path("profiles").glob("*.yaml")):
        over_full = path.stem.endswith(("_512", "_1024"))
        name = f"full+{path.stem}" if over_full else path.stem
        merged = tmp_path / f"{path.stem}.yaml"
        profiles.write_params(profiles.profile_params(name), merged)
        plan._check_sections(merged)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("learning_rate:", "learning_rat:", "clicker.optimisation.learning_rat: unknown key"),
        ("datasets: [rectangles,", "datasets: [rectangle,", "register: dataset 'rectangle'"),
        ("name: pixel_embedding", "name: pixel_embeding", "model 'pixel_embeding' is unknown"),
        ("name: rectangles, opt", "name: rectangle, opt", "reader 'rectangle' is unknown"),
        ("balls: {radius:", "balls: {radios:", "unknown option 'radios'"),
        ("radius: [0.06, 0.12]", "radius: [0.06, wide]", "sweep: objective balls: option radius"),
        ("bandwidth: [0.05, 0.1]", "bandwidth: [0.05, null]", "option bandwidth"),
        (
            "balls: {radius: [0.06, 0.12]}",
            'balls: {radius: [0.06], level_weights: [{"1": 1.0}, {"1": 0.0}]}',
            "sweep: objective balls: level_weights are one or more, above 0",
        ),
        ("\nregister:", "\nregistre:", "registre: unknown section"),
        ("soft_iou:", "soft_io:", "loss 'soft_io' is unknown"),
    ],
)
def test_a_typo_anywhere_is_told_with_its_key(tmp_path, old, new, told):
    text = Path("params.yaml").read_text()
    assert old in text
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError) as error:
        plan._check_sections(path)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dry_run_names_every_stage_and_its_inputs():
    told = plan.describe([], {})
    for stage in STAGES.keys() - {"photos"}:  # of a profile alone
        assert f"python -m workflows.{stage}" in told
    assert "build/shards/sa1b (made by shards@sa1b)" in told
    assert plan.describe(["register"], {}).startswith("register\n")


def test_a_dry_run_says_what_is_cached_what_would_run_and_how_long_it_took(tmp_path, monkeypatch):
    monkeypatch.setattr(frame, "SECONDS", tmp_path)
    frame._keep_seconds("shards mosaics", 12.3)
    changed = {"shards@mosaics": plan._told([{"changed deps": {"src/a.py": "modified"}}])}
    told = {part.split("\n")[0]: part for part in plan.describe([], changed).split("\n\n")}
    assert "state      would run: src/a.py modified (dep)" in told["shards@mosaics"]
    assert "last time  12 s" in told["shards@mosaics"]
    assert (
        "state      would run if other outputs come of shards@mosaics" in told["validate@mosaics"]
    )
    # what comes later may have other inputs too
    for later in ("distill", "register"):
        assert "state      would run if other outputs come of" in told[later]
    assert "state      cached" in told["shards@scenes"] and "not known" in told["shards@scenes"]
    assert "would run" not in plan.describe([], {})


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nope", r"stage 'nope' is unknown; dvc\.yaml has calibrate, clicker"),
        ("shards@nope", "stage 'shards@nope' is unknown; shards has rectangles, mosaics"),
        ("pictures@nope", "pictures has clicker, overfit"),
        ("clicker@nope", "clicker has no items"),
    ],
)
def test_a_stage_that_is_not_there_is_told_before_anything_runs(name, told):
    plan.check_stages(["shards@rectangles", "validate", "clicker", "pictures@sweep"])
    with pytest.raises(ValueError, match=told):
        plan.check_stages([name])


def test_a_remote_that_is_missing_is_told_before_dvc_is_started(tmp_path, monkeypatch):
    for name in ("params.yaml", "data.dvc"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no default remote, and data/ is not here"):
        plan.check_inputs()
    (tmp_path / ".dvc" / "config").write_text((ROOT / ".dvc" / "config").read_text())
    with pytest.raises(ValueError, match=r"'store': samples/dvc-store: no such folder; restore it"):
        plan.check_inputs()
    (tmp_path / "samples" / "dvc-store").mkdir(parents=True)
    plan.check_inputs()


def test_a_dataset_at_a_url_is_an_input_that_needs_no_folder(tmp_path, monkeypatch):
    params = read_params(Path("params.yaml"))
    params["shards"]["sa1b"]["root"] = "s3://bucket/sa1b"
    profiles.write_params(params, tmp_path / "params.yaml")
    (tmp_path / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    (tmp_path / "src").symlink_to(ROOT / "src")
    for name in ("textures", "hypersim"):
        (tmp_path / "data" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    plan.check_inputs()
    assert "  input      s3://bucket/sa1b (remote)" in plan.describe(["shards@sa1b"], {})


def test_a_dataset_that_is_nowhere_is_told_with_its_key(tmp_path, monkeypatch):
    params = read_params(Path("params.yaml"))
    params["shards"] = {"scenes": {"root": "/absent/scenes"}}
    profiles.write_params(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"shards\.scenes\.root: /absent/scenes: no such file"):
        plan.check_inputs()
