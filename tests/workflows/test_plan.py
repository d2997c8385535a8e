"""The stage graph against the code: dependencies exact, every parameter checked before a run."""

from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from maskspace.config import read_params
from maskspace.evaluation import FILES
from workflows import plan, profiles
from workflows.frame import dependencies, outputs

ROOT = Path(__file__).resolve().parents[2]
STAGES = read_params(ROOT / "dvc.yaml")["stages"]

#: What no result follows from: how work is spread, recorded, and finds its place.
FREE = {
    "maskspace",
    "maskspace.parallel",
    "maskspace.tracking",
    "maskspace.files",
    "workflows",
    "workflows.frame",
}


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("maskspace", "workflows", cache_dir=None)


@pytest.fixture(autouse=True)
def at_root(monkeypatch):
    monkeypatch.chdir(ROOT)


def covered(path: Path) -> Iterator[str]:
    """Yield the modules that a path of dvc.yaml stands for."""
    for file in [path] if path.suffix == ".py" else sorted(path.rglob("*.py")):
        parts = file.with_suffix("").parts
        yield ".".join(parts[parts[0] == "src" :]).removesuffix(".__init__")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_imports_and_on_no_other(stage, graph):
    params = read_params(Path("params.yaml"))
    item = next(iter(params["shards"])) if "foreach" in STAGES[stage] else ""
    paths = [path for path in dependencies(stage, item, params)[0] if path.parts[0] != "build"]
    code = [path for path in paths if path.parts[0] in ("src", "workflows")]
    needed = {f"workflows.{stage}"} | graph.find_upstream_modules(f"workflows.{stage}")
    have = {module for path in code for module in covered(path)}
    assert sorted(needed - have - FREE) in ([], ["maskspace.training"])
    for path in code:
        assert needed & set(covered(path)), f"{stage} does not need {path}"


def test_what_the_evaluation_writes_is_what_its_stage_makes():
    params = read_params(Path("params.yaml"))
    item = next(iter(params["shards"]))
    made = outputs("evaluate", item, params)
    assert sorted(made) == sorted(Path("build/evaluate", item, name) for name in FILES)


def test_a_metric_does_not_retrain():
    retrained = [
        stage
        for stage in ("clicker", "proposals", "sweep", "distill")
        if "src/maskspace/metrics" in STAGES[stage]["deps"]
    ]
    assert retrained == []


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
    told = plan.describe([])
    for stage in STAGES:
        assert f"python -m workflows.{stage}" in told
    assert "build/shards (made by shards@hypersim and 4 more)" in told
    assert plan.describe(["register"]).startswith("register\n")
    with pytest.raises(ValueError, match=r"stage 'nope' is unknown; dvc\.yaml has clicker"):
        plan.describe(["nope"])


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
    assert "  input      s3://bucket/sa1b (remote)" in plan.describe(["shards@sa1b"])


def test_a_dataset_that_is_nowhere_is_told_with_its_key(tmp_path, monkeypatch):
    params = read_params(Path("params.yaml"))
    params["shards"] = {"scenes": {"root": "/absent/scenes"}}
    profiles.write_params(params, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"shards\.scenes\.root: /absent/scenes: no such file"):
        plan.check_inputs()
