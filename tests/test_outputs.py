"""No command replaces what it was given, whatever way it is named."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.masks import decode


def photo(path: Path) -> Path:
    pixels = np.full((48, 64, 3), 30, np.uint8)
    pixels[10:30, 20:50] = 220
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def as_it_is(given: Path) -> Path:
    return given


def roundabout(given: Path) -> Path:
    return given.parent / ".." / given.parent.name / given.name


def through_a_link(given: Path) -> Path:
    link = given.with_name(f"link{given.suffix}")
    link.symlink_to(given)
    return link


def of_another_case(given: Path) -> Path:
    return given.with_name(given.name.upper())


def a_hard_link(given: Path) -> Path:
    link = given.with_name(f"hard{given.suffix}")
    os.link(given, link)
    return link


#: Ways to name a file again.
WAYS = (as_it_is, roundabout, through_a_link, of_another_case, a_hard_link)

CLICK = ["click", "{photo}", "--at", "25,15", "--model", "flood-fill"]
SEGMENT = ["segment", "{photo}", "--model", "felzenszwalb", "--proposals", "2"]

#: Commands, with the place of an output that is an input: {same} is that of {photo}.
COMMANDS = {
    "click --out": [*CLICK, "--out", "{same}"],
    "click --session": [*CLICK, "--out", "{folder}/m.png", "--session", "{same}"],
    "click --start": [*CLICK, "--start", "{mask}", "--out", "{same_mask}"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_an_output_that_is_an_input_is_refused(command, way, tmp_path, capsys):
    given = photo(tmp_path / "in" / "a.png")
    mask = photo(tmp_path / "masks" / "m.png")
    places = {
        "photo": given,
        "mask": mask,
        "folder": tmp_path,
        "same": way(given),
        "same_mask": way(mask),
    }
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert main([part.format(**places) for part in COMMANDS[command]]) == 2
    assert "would replace the input" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("kind", ["png", "coco", "npz", "svg", "geojson", "tif"])
def test_segment_replaces_nothing_that_lies_beside_a_photo(kind, tmp_path, capsys):
    given = photo(tmp_path / "a.png")
    endings = ("json", "labels.png", "overlay.png", "npz", "svg", "geojson", "labels.tif")
    names = [f"a.{ending}" for ending in endings]
    for name in names:
        (tmp_path / name).write_text("mine")
    command = ["segment", str(given), "--model", "felzenszwalb", "--proposals", "2"]
    assert main([*command, "--out", str(tmp_path), "--format", kind]) == 2
    assert "is not replaced" in capsys.readouterr().err
    assert (tmp_path / "a.json").read_text() == (tmp_path / "a.npz").read_text() == "mine"
    for name in names:
        (tmp_path / name).unlink()
    for _ in range(2):  # what it wrote itself it writes again
        assert main([*command, "--out", str(tmp_path), "--format", kind]) == 0


def test_one_document_never_takes_the_place_of_an_image(tmp_path, capsys):
    given = photo(tmp_path / "a.png")
    (tmp_path / "b.json").symlink_to(given)
    command = ["segment", str(given), "--model", "felzenszwalb", "--proposals", "2"]
    assert main([*command, "--format", "coco", "--out", str(tmp_path / "b.json")]) == 2
    assert "would replace" in capsys.readouterr().err


def test_evaluate_train_and_finetune_do_not_write_into_what_they_are_given(tmp_path, capsys):
    photo(tmp_path / "data" / "images" / "a.png")
    data = f"folder:{tmp_path / 'data'}"
    for command in (
        ["evaluate", "--data", data, "--model", "felzenszwalb", "--out", f"{tmp_path / 'data'}/"],
        ["finetune", "some-folder", "--data", data, "--out", str(tmp_path / "data")],
        ["train", "--objective", "balls", "--data", data, "--out", str(tmp_path / "data")],
        ["finetune", str(tmp_path / "model"), "--data", data, "--out", str(tmp_path / "model")],
    ):
        assert main(command) == 2
        assert "would replace" in capsys.readouterr().err


def areas(path: Path) -> list[int]:
    return [one["area"] for one in json.loads(path.read_text())["annotations"]]


def test_masks_of_a_folder_go_to_one_document(tmp_path, capsys):
    names = ["a.png", "b/a.png", "b/c d%20.png"]
    for name in names:
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "b" / "notes.txt").write_text("no image")
    out = tmp_path / "all.json"
    command = ["segment", str(tmp_path / "in"), "--model", "felzenszwalb", "--proposals", "3"]
    assert main([*command, "--format", "coco", "--out", str(out)]) == 0
    document = json.loads(out.read_text())
    assert sorted(image["file_name"] for image in document["images"]) == sorted(names)
    ids = [one["id"] for one in document["annotations"]]
    assert sorted(set(ids)) == ids
    images = {image["id"] for image in document["images"]}
    assert {one["image_id"] for one in document["annotations"]} == images
    assert main([*command, "--format", "coco", "--out", str(tmp_path / "out")]) == 0
    assert areas(tmp_path / "out" / "b" / "a.json") == [
        one["area"] for one in document["annotations"] if one["image_id"] == 2
    ]


def test_masks_have_the_areas_that_were_asked_for_and_share_no_pixel(tmp_path):
    given = photo(tmp_path / "a.png")
    command = ["segment", str(given), "--model", "felzenszwalb", "--format", "coco"]
    base = [*command, "--proposals", "50", "--out"]
    assert main([*base, str(tmp_path / "all")]) == 0
    everything = areas(tmp_path / "all" / "a.json")
    assert (
        main([*base, str(tmp_path / "some"), "--least-area", "500", "--largest-area", "2000"]) == 0
    )
    assert areas(tmp_path / "some" / "a.json") == [a for a in everything if 500 <= a <= 2000]
    assert main([*base, str(tmp_path / "apart"), "--no-overlap"]) == 0
    found = json.loads((tmp_path / "apart" / "a.json").read_text())["annotations"]
    masks = decode([one["segmentation"]["counts"] for one in found], (48, 64))
    assert masks.sum(axis=0).max() == 1 and masks.any(axis=(1, 2)).all()


def test_a_bad_image_among_many_is_left_out_as_far_as_is_said(tmp_path, capsys):
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"no image")
    command = ["segment", str(tmp_path / "in"), "--model", "felzenszwalb", "--proposals", "3"]
    for share, status in (("0", 2), ("0.5", 0)):
        out = tmp_path / share
        assert main([*command, "--max-left-out", share, "--out", str(out)]) == status
        told = capsys.readouterr().err
        assert "b.png" in told and ("1 of 3 images left out" in told) == (share != "0")
        assert (out / "a.labels.png").exists() and (out / "c.labels.png").exists()
