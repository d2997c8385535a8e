import json
import tracemalloc
from pathlib import Path

import pytest

from maskspace.data.readers import coco_json, json_lists
from maskspace.data.readers.coco_json import index_json, read_annotations

IMAGE = {"id": 1, "file_name": "a.png", "height": 8, "width": 10}


def test_every_annotation_is_found_at_its_bytes_whatever_the_order_and_spaces(
    tmp_path: Path,
) -> None:
    names = ["a.jpg", "tür.jpg", "日本.jpg"]
    images = [IMAGE | {"id": i, "file_name": name} for i, name in enumerate(names)]
    annotations = [{"id": n, "image_id": n % 3, "note": 'é]}"{['} for n in range(20)]
    content = {"info": {"annotations": [1]}, "annotations": annotations, "images": images}
    for options in ({}, {"indent": 3}, {"separators": (",", ":")}, {"ensure_ascii": False}):
        path = tmp_path / "a.json"
        path.write_text(json.dumps(content, **options), encoding="utf-8")
        found = index_json(path).images
        assert [image.names[0] for image in found] == names
        for number, image in enumerate(found):
            assert read_annotations(path, image) == annotations[number::3]


def test_licences_are_looked_up(tmp_path: Path) -> None:
    licences = [{"id": 3, "name": "Attribution"}]
    images = [IMAGE | {"license": 3}, IMAGE | {"id": 2, "file_name": "b.png"}]
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": images, "annotations": [], "licenses": licences}))
    assert [image.licence for image in index_json(path).images] == ["Attribution", "not stated"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"images": [], "annotations": [}',
        '{"images": [], "annotations": []} more',
        '{"images": [], "annotations": [1 2]}',
        '{"images" []}',
        '{"images": []}',
        '{"images": {}, "annotations": []}',
        '{"images": [{"id": 1, "file_name": "a", "height": 3, "width": "x"}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "../a", "height": 3, "width": 3}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "/a", "height": 3, "width": 3}], "annotations": []}',
        '{"images": [{"id": 1, "file_name": "C:\\\\a", "height": 3}], "annotations": []}',
        json.dumps({"images": [IMAGE, IMAGE | {"file_name": "b.png"}], "annotations": []}),
        "[" * 100_000,
        '{"images": ' + "[" * 100_000,
        '{"images": [' + "9" * 10_000 + "]}",
        "\x00\xff",
    ],
)
def test_what_is_not_cocos_json_is_one_line_with_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=r"a\.json: ") as error:
        index_json(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


LEFT_OUT = {
    '{"images": [3], "annotations": []}': "images that are no objects",
    '{"images": [{}], "annotations": []}': "images with no `id` (whole number or text)",
    '{"images": [], "annotations": [{"id": 1}]}': "annotations with no `image_id` (whole",
    '{"images": [], "annotations": [null]}': "annotations that are no objects",
    '{"images": [], "annotations": [{"image_id": 5}]}': "annotations of images that are not listed",
    '{"images": [], "annotations": [{"id": 1, "image_id": [5]}]}': "annotations with no `image_id`",
    '{"images": [], "annotations": [{"image_id": 1.5}]}': "`image_id` is 1.5, no whole number",
    '{"images": [{"id": 1, "height": 3}], "annotations": []}': "images without file_name",
}


@pytest.mark.parametrize("text", LEFT_OUT)
def test_entries_that_cannot_be_meant_are_left_out_and_counted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    index = index_json(path)
    ((reason, number),) = index.left_out.items()
    assert LEFT_OUT[text] in reason and number == 1 and not index.images
    assert index.notes("a.json") == (f"a.json: 1 left out: {reason}",)


@pytest.mark.parametrize("head", [b"", b'{"images": [', b'{"info": {"x": "', b'{"annotations": ['])
def test_a_gigabyte_of_nothing_is_refused_in_little_memory(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.write(head)
        file.truncate(1 << 30)  # takes no room on the disk
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"a\.json: not JSON \(.* at byte \d+\)"):
        index_json(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 26
    tracemalloc.stop()


def test_a_file_above_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(
        ValueError, match=r"a\.json: 1073741824 bytes; the limit is 600000000 bytes; set max"
    ):
        index_json(path, max_bytes=600_000_000)


def test_memory_does_not_grow_with_the_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "PIECE", 2**16)
    path, number = tmp_path / "a.json", 500
    one = json.dumps({"id": 1, "image_id": 1, "segmentation": [[0.5] * 1_500]})
    path.write_text(
        f'{{"images": [{json.dumps(IMAGE)}], "annotations": [{",".join([one] * number)}]}}'
    )
    assert path.stat().st_size > 3_500_000
    tracemalloc.start()
    (image,) = index_json(path).images
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(image.spans) == number and peak < 700_000


def test_more_annotations_or_images_than_memory_holds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    images = [IMAGE | {"id": number, "file_name": f"{number}.png"} for number in range(4)]
    annotations = [{"id": number, "image_id": 0} for number in range(7)]
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    for name, most in (("MAX_IMAGES", 4), ("MAX_ANNOTATIONS", 7)):
        with monkeypatch.context() as patch:
            patch.setattr(coco_json, name, most)
            assert len(index_json(path).images) == 4
            patch.setattr(coco_json, name, most - 1)
            with pytest.raises(ValueError, match=r"a\.json: more than .*divide it"):
                index_json(path)


def test_names_are_utf8_however_they_are_written(tmp_path: Path) -> None:
    path, images = tmp_path / "a.json", [IMAGE | {"id": "é", "file_name": "日本.jpg"}]
    for escaped in (True, False):
        content = {"images": images, "annotations": [{"image_id": "é"}]}
        path.write_text(json.dumps(content, ensure_ascii=escaped), encoding="utf-8")
        (image,) = index_json(path).images
        assert image.names == ("日本.jpg",) and len(image.spans) == 1
    path.write_bytes(b'{"annotations": [], "images": [{"id": 1, "file_name": "\xff"}]}')
    with pytest.raises(ValueError, match=r"a\.json: .* is not UTF-8") as error:
        index_json(path)
    assert "\n" not in str(error.value)


def test_a_file_that_changes_after_it_was_indexed_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [IMAGE], "annotations": [{"id": 1, "image_id": 1}]}))
    (image,) = index_json(path).images
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"a\.json: has changed"):
        read_annotations(path, image)
