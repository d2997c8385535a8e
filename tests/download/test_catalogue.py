import re
import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from maskspace.cli import parser
from maskspace.config import keyword_options
from maskspace.data import READERS
from maskspace.download.catalogue import OFFICIAL

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("name", OFFICIAL)
def test_every_record_is_complete(name):
    official = OFFICIAL[name]
    assert official.kind in READERS
    assert sum(map(bool, (official.files, official.scenes, official.links))) == 1
    assert urlsplit(official.licence.link).scheme == "https"
    lines = (official.size, official.note, official.licence.name, official.licence.terms)
    assert not any("\n" in line for line in lines) and all(lines[i] for i in (0, 2, 3))


@pytest.mark.parametrize("name", OFFICIAL)
def test_files_have_names_of_their_own_and_whole_hashes(name):
    files = OFFICIAL[name].files
    assert len({file.name for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"[\w.-]+\.(zip|tgz)", file.name)
        assert urlsplit(file.url).scheme in ("http", "https") and not urlsplit(file.url).query
        assert file.size is None or file.hash is not None
        if file.hash is not None:
            assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", file.hash)


def test_the_members_of_a_hypersim_frame_are_of_one_record():
    scenes = OFFICIAL["hypersim"].scenes
    frame = "ai_001_002/images/scene_cam_03_{}/frame.0004.{}"
    wanted = [
        frame.format("final_preview", "color.jpg"),
        frame.format("geometry_hdf5", "render_entity_id.hdf5"),
    ]
    other = [frame.format("final_hdf5", "color.hdf5"), frame.format("final_preview", "diff.jpg")]
    for name in wanted:
        found = [group for group in re.search(scenes.members, name).groups() if group]
        assert found == ["ai_001_002", "cam_03", "0004"]
    for name in wanted + other:
        assert re.search(scenes.records, name).groups() == ("ai_001_002", "cam_03", "0004")
    assert not any(re.search(scenes.members, name) for name in other)
    assert not re.search(scenes.records, "ai_001_002/_detail/metadata_scene.csv")


def test_the_image_and_the_mask_of_a_davis_frame_are_of_one_record():
    pattern = OFFICIAL["davis"].files[0].records
    for name in ("JPEGImages/480p/bear/00007.jpg", "Annotations/480p/bear/00007.png"):
        assert re.search(pattern, name).groups() == ("bear", "00007")
    assert not re.search(pattern, "ImageSets/2017/train.txt")


def rows(page: str, title: str) -> dict[str, dict[str, str]]:
    """Return the rows of the table of a page whose first column has this title, by their names."""
    lines = (DOCS / page).read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(f"| {title} |"))
    names, _, *found = (
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines[first : lines.index("", first)]
    )
    return {row[0].strip("`"): dict(zip(names, row, strict=True)) for row in found}


def downloads(text: str) -> list[str]:
    """Return the dataset of each command in a text, which the command line has to understand."""
    asked = [shlex.split(one) for one in re.findall(r"`maskspace (download [^`]+)`", text)]
    return [parser().parse_args(words).dataset for words in asked]


def test_the_table_of_datasets_says_all_of_every_reader():
    table = rows("datasets.md", "kind")
    assert set(table) == set(READERS)
    for kind, row in table.items():
        assert all(row[name] for name in row if not name.startswith("options"))
        options = keyword_options(READERS[kind]).keys() - {"seed", "limit", "split", "containment"}
        assert (
            set(re.findall(r"`(\w+)`", row["options beside `split` and `containment`"])) == options
        )
        named = {*downloads(row["command"]), *re.findall(r"or `(\w+)`", row["command"])}
        assert named == {name for name, one in OFFICIAL.items() if one.kind == kind}
        for number in ("records", "shards, MB", "seconds"):
            assert float(row[number].rstrip(" †‡")) > 0


def test_the_table_of_downloads_is_that_of_the_catalogue():
    table = rows("download.md", "DATASET")
    assert set(table) == set(OFFICIAL)
    for name, row in table.items():
        assert row["reader"] == f"`{OFFICIAL[name].kind}`"
        assert downloads(row["command"]) == [name]
