"""The `click` command: sessions in files, levels, rules and start masks."""

import json

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.models import MODELS
from maskspace.models.weights import save_model
from maskspace.partition.image_editor import CLICK_RULES
from maskspace.segmenter.loading import load

CLICKER = {
    "size": 64, "patch": 8, "dim": 32, "depth": 1, "heads": 2, "global_every": 1,
    "fusion_depth": 1, "neck_dims": (8, 8, 8, 8), "head_dim": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def clicker(tmp_path_factory) -> str:
    """The folder of an untrained clicker."""
    folder = tmp_path_factory.mktemp("models") / "clicker"
    model = MODELS["click_vit"](**CLICKER)
    save_model(model, folder, name="click_vit", options=CLICKER, provenance={})
    return str(folder)


@pytest.fixture
def photo(tmp_path):
    blocks = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(np.kron(blocks, np.ones((10, 10, 1), np.uint8))).save(path)
    return path


@pytest.fixture
def click(photo, tmp_path):
    """Return a function that runs the command and gives the mask that it wrote."""

    def run(*arguments: str) -> np.ndarray:
        out = tmp_path / "mask.png"
        assert main(["click", str(photo), *arguments, "--out", str(out)]) == 0
        return np.asarray(Image.open(out)) > 0

    return run


def complaint(capsys) -> str:
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.mark.parametrize("rule", CLICK_RULES)
def test_rule_and_level_are_those_of_the_model(click, clicker, photo, rule):
    mask = click("--at", "3,4", "--not", "50,9", "--at", "20,30", "--model", clicker,
                 "--rule", rule, "--level", "0.45")  # fmt: skip
    clicks = [(3, 4, True), (50, 9, False), (20, 30, True)]
    expected = load(clicker).click(str(photo), clicks, rule=rule, level=0.45)
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("model", ["flood-fill@tolerance=5", "student"])
def test_a_session_goes_on_from_its_file(click, tmp_path, model):
    path = tmp_path / "clicks.json"
    session = ("--session", str(path))
    first = click("--at", "3,4", "--model", model, *session)
    both = click("--at", "25,15", *session)
    np.testing.assert_array_equal(both, click("--at", "3,4", "--at", "25,15", "--model", model))
    np.testing.assert_array_equal(click(*session), both)
    np.testing.assert_array_equal(click("--undo", "1", *session), first)
    less = click("--undo", "1", "--at", "25,15", "--not", "3,4", *session)
    np.testing.assert_array_equal(less, click("--at", "25,15", "--not", "3,4", "--model", model))
    saved = json.loads(path.read_text())
    assert saved["model"] == model
    assert [(c["x"], c["y"], c["positive"]) for c in saved["clicks"]] == [
        (25, 15, True), (3, 4, False),
    ]  # fmt: skip


def test_level_rule_and_start_mask_stay_with_the_session(click, clicker, tmp_path):
    drawn = np.zeros((40, 60), np.uint8)
    drawn[5:20, 10:40] = 255
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    session = ("--session", str(tmp_path / "clicks.json"))
    settings = ("--level", "0.4", "--rule", "largest", "--start", str(tmp_path / "drawn.png"))
    first = click("--at", "3,4", "--model", clicker, *settings, *session)
    np.testing.assert_array_equal(click(*session), first)
    kept = click("--undo", "1", *session)
    np.testing.assert_array_equal(kept, drawn > 0)


def test_what_is_refused_changes_no_file(click, photo, tmp_path, capsys):
    path, out = tmp_path / "clicks.json", tmp_path / "other.png"
    click("--at", "3,4", "--model", "flood-fill", "--session", str(path))
    before = path.read_bytes()
    three = np.repeat(np.arange(3, dtype=np.uint8), 20)[None].repeat(40, axis=0)
    Image.fromarray(three).save(tmp_path / "labels.png")
    Image.new("L", (9, 9), 255).save(tmp_path / "small.png")
    Image.effect_noise((60, 40), 50).save(tmp_path / "noise.png")
    (tmp_path / "broken.json").write_text("{")
    capsys.readouterr()
    here = ["--session", str(path)]
    for arguments, told in (
        ([photo, *here, "--at", "60,0"], "0..59"),
        ([photo, *here, "--undo", "2"], "cannot undo 2 changes; there are 1"),
        ([photo, *here, "--level", "0.4"], "flood-fill answers masks, not maps"),
        ([photo, *here, "--start", tmp_path / "labels.png"], "a label map"),
        ([photo, *here, "--start", tmp_path / "small.png"], "is (9, 9), its image is (40, 60)"),
        ([photo, "--session", tmp_path / "broken.json"], "broken.json: not valid JSON"),
        ([tmp_path / "noise.png", *here], "another image"),
    ):
        assert main(["click", *map(str, arguments), "--out", str(out)]) == 2
        assert told in complaint(capsys)
    assert path.read_bytes() == before and not out.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["--undo", "1"], ["--session", "none.json"], ["--rule", "most"]]
)
def test_without_clicks_and_without_a_file_of_them_help_is_pointed_to(
    photo, arguments, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(["click", str(photo), *arguments, "--out", "mask.png"])
    assert stop.value.code == 2 and "--help" in complaint(capsys)
