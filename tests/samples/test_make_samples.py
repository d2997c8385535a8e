import json
import re
from pathlib import Path

import numpy as np
import pytest

from maskspace.data.readers.sa1b import box_from_sa1b, parse_sa1b
from maskspace.data.tars import members, read_member
from maskspace.masks import boxes_xywh, decode
from samples.make_samples import make_samples, sa1b_record
from samples.room import ROOM, Box, camera_rays, render


def files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "data"
    make_samples(out, seed=0, images_per_tar=1, frames=1)
    return out


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    make_samples(tmp_path / "data", seed=0, images_per_tar=1, frames=1)
    assert files(tmp_path / "data") == files(made)
    assert list(tmp_path.iterdir()) == [tmp_path / "data"]


def test_another_seed_gives_other_images(made: Path, tmp_path: Path) -> None:
    make_samples(tmp_path / "data", seed=1, images_per_tar=1, frames=1)
    ours, theirs = files(made), files(tmp_path / "data")
    assert ours.keys() == theirs.keys()
    assert all((ours[k] == theirs[k]) == k.startswith("textures") for k in ours)


def stored() -> dict[str, Path]:
    """Return where DVC's store in the repository holds each file of `data/`."""
    root = Path(__file__).resolve().parents[2]
    store = root / "samples" / "dvc-store" / "files" / "md5"
    tracked = re.search(r"md5: (\w+\.dir)", (root / "data.dvc").read_text())
    assert tracked
    listing = json.loads((store / tracked[1][:2] / tracked[1][2:]).read_text())
    return {one["relpath"]: store / one["md5"][:2] / one["md5"][2:] for one in listing}


def test_the_tracked_data_is_what_the_generator_makes(made: Path) -> None:
    tracked = stored()
    first = tracked[min(name for name in tracked if name.startswith("sa1b/"))]
    ours = sorted((made / "sa1b").glob("*.tar"))[0]
    for theirs, mine in zip(members(first)[:2], members(ours), strict=True):
        assert theirs.name == mine.name
        assert read_member(first, theirs) == read_member(ours, mine)
    for path in sorted((made / "textures").iterdir()):
        assert path.read_bytes() == tracked[f"textures/{path.name}"].read_bytes()


def test_records_are_in_sa1bs_schema() -> None:
    masks = np.zeros((2, 6, 9), bool)
    masks[0, 1:5, 2:8] = True
    masks[1, 2:4, 3:5] = True
    record = sa1b_record(7, masks)
    text = json.dumps(record).encode()
    coded, left_out = parse_sa1b(text, (6, 9), place="x")
    assert left_out == ()
    assert (decode([one.counts for one in coded], (6, 9)) == masks).all()
    boxes = [box_from_sa1b(a["bbox"]) for a in json.loads(text)["annotations"]]
    assert boxes == [tuple(box) for box in boxes_xywh(masks).tolist()]


def test_a_box_is_seen_where_geometry_says() -> None:
    wall = Box((0, 3, 0), (ROOM[0], 3.1, ROOM[2]), (100, 100, 100), "plain", 1)
    box = Box((2.5, 2, 0.9), (3.5, 2.5, 1.9), (200, 50, 50), "plain", 2)
    eye, target = np.array([3.0, 0.0, 1.4]), np.array([3.0, 3.0, 1.4])
    _, entities = render([wall, box], eye, camera_rays(eye, target, (40, 60)))
    # half the box is 0.5 m at 2 m; half the picture is tan(39 degrees) of 30 pixels at 1 m
    half = 0.5 / 2 / np.tan(np.deg2rad(39)) * 30
    rows, columns = np.nonzero(entities == 2)
    assert np.ptp(columns) + 1 == pytest.approx(2 * half, abs=1)
    assert np.ptp(rows) + 1 == pytest.approx(2 * half, abs=1)
    assert (entities[20] >= 1).all()
