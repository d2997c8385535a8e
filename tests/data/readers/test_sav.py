import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.sav import read_masklets, read_sav
from maskspace.masks import decode


@pytest.fixture(scope="module")
def real(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real masklets, and black frames where the video's should be."""
    root = tmp_path_factory.mktemp("sav")
    for path in (assets / "sa1b_format/sav_example").glob("*.json"):
        shutil.copy(path, root / path.name)
    frames = root / "JPEGImages_24fps/sav_000001"
    frames.mkdir(parents=True)
    Image.new("RGB", (480, 848)).save(frames / "00000.jpg")
    for number in range(4, 483, 4):
        (frames / f"{number:05d}.jpg").hardlink_to(frames / "00000.jpg")
    return root


def test_the_real_masklets_are_121_frames_and_1089_masks_of_automatic_ones(real: Path) -> None:
    source = read_sav(str(real), seed=0, limit=None, masklets="auto")
    said = json.loads((real / "sav_000001_auto.json").read_text())
    assert len(source) == 121 == len(said["masklet"])
    assert sum(len(frame) for frame in said["masklet"]) == 1089
    assert source.keys[0] == "sav_000001-00000" and source.keys[120] == "sav_000001-00480"
    assert set(source.groups or ()) == {"sav_000001"} and set(source.splits) == {"train"}
    for number in (0, 60, 120):
        strings = [rle["counts"] for rle in said["masklet"][number]]
        masks = decode(strings, (848, 480))
        expected = {mask.tobytes() for mask in masks if mask.any()}
        arrays = dense(source[number])
        assert {mask.tobytes() for mask in arrays.masks} == expected
        scores = said["masklet_stability_score"][number]
        assert set(arrays.scores) <= {np.float32(min(score, 1.0)) for score in scores}


def test_manual_and_automatic_masklets_are_an_option(real: Path) -> None:
    manual, auto, both = (
        read_sav(str(real), seed=0, limit=None, masklets=kind)[40]  # type: ignore[arg-type]
        for kind in ("manual", "auto", "both")
    )
    assert 0 < len(manual.annotations) <= 5 and {a.score for a in manual.annotations} == {1.0}
    strings = [a.counts for a in (*manual.annotations, *auto.annotations)]
    assert [a.counts for a in both.annotations] == list(dict.fromkeys(strings))


def test_frames_lie_beside_the_json_too_and_objects_out_of_sight_have_no_mask(trees: Path) -> None:
    source = read_sav(str(trees / "sav"), seed=0, limit=None)
    assert list(source.keys) == [f"sav_000002-{frame:05d}" for frame in (0, 4, 8)]
    assert [len(sample.annotations) for sample in source] == [2, 1, 1]
    assert source[0].annotations[1].counts == source[2].annotations[0].counts
    assert source[1].source == "sav_000002/00004.jpg"
    assert list(read_sav(str(trees / "sav"), seed=0, limit=2).keys) == list(source.keys)[:2]


@pytest.fixture
def tree(trees: Path, tmp_path: Path) -> Path:
    """A copy of the training layout that may be broken."""
    return shutil.copytree(trees / "sav", tmp_path / "copy")


def test_videos_in_folders_come_by_name(tree: Path) -> None:
    (tree / "sav_000").mkdir()
    for path in list(tree.glob("sav_000002*")):
        path.rename(tree / "sav_000" / path.name)
    folder = shutil.copytree(tree / "sav_000/sav_000002", tree / "sav_000/sav_000001")
    assert folder.is_dir()
    shutil.copy(tree / "sav_000/sav_000002_manual.json", tree / "sav_000/sav_000001_manual.json")
    source = read_sav(str(tree), seed=0, limit=None)
    assert list(source.groups or ()) == ["sav_000001"] * 3 + ["sav_000002"] * 3
    assert source[0].annotations == source[3].annotations
    assert len(read_sav(str(tree), seed=0, limit=None, masklets="auto")) == 3
    assert len(read_sav(str(tree), seed=0, limit=None, masklets="both")) == 6


def test_a_frame_that_is_not_extracted_is_one_line(tree: Path) -> None:
    (tree / "sav_000002/00004.jpg").unlink()
    source = read_sav(str(tree), seed=0, limit=None)
    with pytest.raises(ValueError, match=r"sav_000002/00004\.jpg: no such frame; extract .*mp4"):
        source[1]


def set_masks(value: object) -> Callable[[dict], object]:
    return lambda record: record | {"masklet": value}


RLE = {"size": [48, 64], "counts": "PP3"}
BROKEN: dict[str, Callable[[dict], object]] = {
    "no whole number video_frame_count": lambda record: {"masklet": []},
    "no whole number video_frame_count;": lambda r: r | {"video_frame_count": -4},
    "no whole number video_frame_count; fetch": lambda r: r | {"video_frame_count": 1e18},
    "no list `masklet`": set_masks({}),
    "has no masks of frame 0": set_masks([]),
    "has no masks of frame 0; fetch": set_masks([7]),
    "frame 0: visible mask 1: has no run-length": set_masks([[RLE, {"size": [48, 64]}]]),
    r"mask 0: its mask is \[64, 48\], the image is \[48, 64\]": set_masks(
        [[{"size": [64, 48], "counts": "PP3"}]]
    ),
    "mask 0: its run lengths cover 3 pixels": set_masks([[{"size": [48, 64], "counts": "3"}]]),
    "mask 0: its run lengths hold": set_masks(
        [[{"size": [48, 64], "counts": "0" + "o" * 30 + "0"}]]
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_is_not_sav_is_one_line(tree: Path, message: str) -> None:
    path = tree / "sav_000002_manual.json"
    path.write_text(json.dumps(BROKEN[message](json.loads(path.read_text()))))
    with pytest.raises(ValueError, match=rf"sav_000002_manual\.json: .*{message}") as told:
        read_sav(str(tree), seed=0, limit=None)[0]
    assert "\n" not in str(told.value)


def test_a_json_that_is_none_or_too_large_is_one_line(tree: Path) -> None:
    path = tree / "sav_000002_manual.json"
    size = path.stat().st_size
    with pytest.raises(ValueError, match=rf"manual\.json: {size} bytes; the limit is 9 bytes"):
        read_sav(str(tree), seed=0, limit=None, max_json_bytes=9)[0]
    head = '{"video_frame_count": 10.0, "masklet": '
    for text, message in ((head, "not JSON"), (head + "[" * 10**6, "RecursionError")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_sav(str(tree), seed=0, limit=None)[0]
        read_masklets.cache_clear()
    path.write_bytes(head.encode() + b'"\xff"}')
    with pytest.raises(ValueError, match="UnicodeDecodeError"):
        read_sav(str(tree), seed=0, limit=None)[0]
    shutil.copy(path, tree / "sav_000002" / path.name)
    (tree / "sav_000002/none").mkdir()
    with pytest.raises(ValueError, match="is of the same video"):
        read_sav(str(tree), seed=0, limit=None)
    with pytest.raises(ValueError, match=r"no VIDEO_manual\.json in it"):
        read_sav(str(tree / "sav_000002/none"), seed=0, limit=None)
    with pytest.raises(ValueError, match="so this is SA-V's train"):
        read_sav(str(tree), seed=0, limit=None, split="val")
