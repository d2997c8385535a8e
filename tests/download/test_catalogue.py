import re
from urllib.parse import urlsplit

import pytest

from maskspace.data import READERS
from maskspace.download.catalogue import OFFICIAL


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
