import io
import json
import pickle
import shutil
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.sa1b import box_from_sa1b, parse_sa1b, read_sa1b
from maskspace.masks import areas, boxes_xywh, decode


def test_a_real_record_decodes_to_its_areas_and_boxes(assets: Path) -> None:
    path = assets / "sa1b_format" / "sa_000020" / "sa_226381.json"
    annotations = json.loads(path.read_text())["annotations"]
    coded, left_out = parse_sa1b(path.read_bytes(), (1500, 2000), place=path.name)
    assert left_out == ()
    assert len(coded) == 10
    masks = decode([one.counts for one in coded], (1500, 2000))
    assert [a["area"] for a in annotations] == list(areas(masks))
    boxes = [box_from_sa1b(a["bbox"]) for a in annotations]
    assert boxes == [tuple(box) for box in boxes_xywh(masks).tolist()]
    assert [one.score for one in coded] == [a["predicted_iou"] for a in annotations]


def test_a_folder_of_real_photos_reads_whole(assets: Path) -> None:
    folder = assets / "sa1b_format" / "converted"
    source = read_sa1b(str(folder), seed=0, limit=None)
    numbers = [int(key.split("_")[1]) for key in source.keys]
    assert numbers == sorted(numbers) and len(numbers) == 15
    count = 0
    for sample in source:
        said = json.loads((folder / f"{sample.key}.json").read_text())["annotations"]
        assert sorted({a["area"] for a in said}) == sorted({a.area for a in sample.annotations})
        assert sample.image == (folder / f"{sample.key}.jpg").read_bytes()
        count += len(said)
    assert count == 1105


def test_tars_and_an_unpacked_folder_give_the_same_samples(raw: Path, tmp_path: Path) -> None:
    for tar in sorted((raw / "sa1b").glob("*.tar")):
        with tarfile.open(tar) as archive:
            archive.extractall(tmp_path)
        with tarfile.open(tar) as archive:
            archive.extractall(tmp_path / "folders" / tar.stem)
    packed = read_sa1b(str(raw / "sa1b"), seed=0, limit=None)
    assert list(packed.keys) == ["sa_9", "sa_10", "sa_11", "sa_12"]
    for folder in (tmp_path, tmp_path / "folders"):
        loose = read_sa1b(str(folder), seed=0, limit=None)
        assert list(loose.keys) == list(packed.keys)
        for one, other in zip(packed, loose, strict=True):
            assert one.image == other.image and one.annotations == other.annotations
    assert packed[2].source == "sa_000001.tar:sa_11.jpg"
    assert loose[2].source == "sa_000001/sa_11.jpg"
    alone = read_sa1b(str(raw / "sa1b/sa_000001.tar"), seed=0, limit=None)
    assert [s.annotations for s in alone] == [s.annotations for s in packed[2:]]


@pytest.mark.parametrize("kind", ["tars", "one tar", "folder", "folders"])
def test_the_place_of_an_image_holds_its_bytes(raw: Path, tmp_path: Path, kind: str) -> None:
    root = raw / "sa1b"
    if kind == "one tar":
        root /= "sa_000000.tar"
    elif kind != "tars":
        for tar in sorted((raw / "sa1b").glob("*.tar")):
            with tarfile.open(tar) as archive:
                archive.extractall(tmp_path / (tar.stem if kind == "folders" else ""))
        root = tmp_path
    source = read_sa1b(str(root), seed=0, limit=None)
    assert source.image_place is not None
    for index, sample in enumerate(source):
        place = source.image_place(index)
        content = (root / place.file if place.file else root).read_bytes()
        assert content[place.offset : place.offset + place.size] == sample.image


def test_a_source_travels_to_other_processes(raw: Path) -> None:
    source = read_sa1b(str(raw / "sa1b"), seed=0, limit=None)
    assert pickle.loads(pickle.dumps(source))[3] == source[3]


def test_a_limit_opens_no_tar_past_it(raw: Path, tmp_path: Path) -> None:
    shutil.copy(raw / "sa1b/sa_000000.tar", tmp_path / "sa_000002.tar")
    (tmp_path / "sa_000010.tar").write_bytes(b"not a tar")
    assert list(read_sa1b(str(tmp_path), seed=0, limit=2).keys) == ["sa_9", "sa_10"]
    assert list(read_sa1b(str(tmp_path), seed=0, limit=1).keys) == ["sa_9"]
    with pytest.raises(ValueError, match=r"sa_000010\.tar"):
        read_sa1b(str(tmp_path), seed=0, limit=3)


def test_the_sample_tars_hold_three_levels(raw: Path) -> None:
    arrays = dense(read_sa1b(str(raw / "sa1b"), seed=0, limit=1)[0])
    parents = {int(i): int(p) for i, p in zip(arrays.ids, arrays.parents, strict=True)}
    assert any(parents.get(parents.get(parents[i], 0), -1) == 0 for i in parents if parents[i])


def write(folder: Path, label: object, size: tuple[int, int] = (6, 4)) -> Path:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(buffer, format="JPEG")
    text = label if isinstance(label, bytes) else json.dumps(label).encode()
    return pack(folder, {"./sa_1.jpg": buffer.getvalue(), "./sa_1.json": text})


def pack(folder: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(folder / "sa_0.tar", "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return folder


def good() -> dict:
    # 2 columns of 6 rows in an image of 6 rows and 4 columns
    return {
        "image": {"image_id": 1, "width": 4, "height": 6, "file_name": "sa_1.jpg"},
        "annotations": [
            {
                "segmentation": {"size": [6, 4], "counts": "0<<"},
                "area": 12,
                "bbox": [0, 0, 1, 5],
                "predicted_iou": 1.01,
            }
        ],
    }


def test_a_minimal_record_is_read_and_its_score_cut_to_one(tmp_path: Path) -> None:
    sample = read_sa1b(str(write(tmp_path, good())), seed=0, limit=None)[0]
    assert [(a.area, a.box_xywh, a.score) for a in sample.annotations] == [(12, (0, 0, 2, 6), 1.0)]


@pytest.mark.parametrize("counts", [[0, 12, 12], [0, 5, 0, 7, 12], "0<<", "0502<"])
def test_runs_come_compressed_or_plain_and_leave_canonical(tmp_path: Path, counts: object) -> None:
    record = set_in("annotations", 0, "segmentation", "counts", value=counts)(good())
    sample = read_sa1b(str(write(tmp_path, record)), seed=0, limit=None)[0]
    assert [a.counts for a in sample.annotations] == ["0<<"]


def set_in(*path: str | int, value: object) -> Callable[[dict], object]:
    def change(record: dict) -> object:
        inner = record
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        return record

    return change


BROKEN = {
    "not JSON": lambda record: b"{",
    "no object `image`": lambda record: {"images": []},
    "no list `annotations`": set_in("annotations", value=3),
    "`width` is 'x', no number": set_in("image", "width", value="x"),
    r"6 x 5 \(h x w\), its image is 6 x 4": set_in("image", "width", value=5),
    "annotation 1: a polygon without three points": set_in(
        "annotations", 0, "segmentation", value=[[0, 0]]
    ),
    r"its mask is \[4, 6\]": set_in("annotations", 0, "segmentation", "size", value=[4, 6]),
    "annotation 1: its run lengths cover 13 pixels": set_in(
        "annotations", 0, "segmentation", "counts", value="0<1"
    ),
    "annotation 1: its run lengths hold": set_in(
        "annotations", 0, "segmentation", "counts", value="é"
    ),
    "annotation 1: its run length 2.5 is no": set_in(
        "annotations", 0, "segmentation", "counts", value=[0, 2.5, 21.5]
    ),
    "annotation 1: its run length -3 is no": set_in(
        "annotations", 0, "segmentation", "counts", value=[-3, 27]
    ),
    "annotation 1: its run length 4294967308 is no": set_in(
        "annotations", 0, "segmentation", "counts", value=[0, 2**32 + 12, 12]
    ),
    "annotation 1: its run lengths cover 25 pixels": set_in(
        "annotations", 0, "segmentation", "counts", value=[0, 12, 13]
    ),
    "annotation 1: its run lengths hold a number": set_in(
        "annotations", 0, "segmentation", "counts", value="0" + "o" * 40 + "0"
    ),
    "annotation 1: its run lengths cover 8 pixels": set_in(
        "annotations", 0, "segmentation", "counts", value="0<L"
    ),
    "it nests too deep": lambda record: b"[" * 200_000,
    r"bbox says \[2, 0, 1, 5\], its mask covers \[0, 0, 2, 6\]": set_in(
        "annotations", 0, "bbox", value=[2, 0, 1, 5]
    ),
    "`bbox` is not x, y, w, h": set_in("annotations", 0, "bbox", value=[0, 0, 1]),
    "area says 11, its mask has 12": set_in("annotations", 0, "area", value=11),
    "`predicted_iou` is 'x', no number": set_in("annotations", 0, "predicted_iou", value="x"),
    "annotation 1: covers no pixel": lambda record: set_in("annotations", 0, "area", value=0)(
        set_in("annotations", 0, "segmentation", "counts", value="h0")(record)
    ),
}


@pytest.mark.parametrize("message", BROKEN)
def test_what_is_not_sa1b_is_one_line_with_tar_and_member(tmp_path: Path, message: str) -> None:
    source = read_sa1b(str(write(tmp_path, BROKEN[message](good()))), seed=0, limit=None)
    with pytest.raises(ValueError, match=message) as caught:
        source[0]
    assert "sa_0.tar:sa_1.json: " in str(caught.value)
    assert "\n" not in str(caught.value)


ODD = [None, True, -1, 2**31, 2**64, 10**400, 1e308, float("nan"), float("inf"), "\n", [], {}, [[]]]


def places(value: object, place: tuple = ()) -> list[tuple]:
    inner = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [place, *(found for key, one in inner for found in places(one, (*place, key)))]


def test_no_value_at_any_place_does_more_than_raise_one_line() -> None:
    for place in places(good())[1:]:
        for value in ODD:
            text = json.dumps(set_in(*place, value=value)(good())).encode()
            try:
                parse_sa1b(text, (6, 4), place="x")
            except ValueError as error:
                assert str(error).startswith("x: ") and "\n" not in str(error)


def test_an_image_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sa_1.jpg").write_bytes(b"not an image")
    (tmp_path / "sa_1.json").write_text(json.dumps(good()))
    with pytest.raises(ValueError, match=r"sa_1\.jpg: cannot be read as an image"):
        read_sa1b(str(tmp_path), seed=0, limit=None)[0]


def test_a_missing_half_or_root_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no sa_N\.jpg"):
        read_sa1b(str(tmp_path), seed=0, limit=None)
    (tmp_path / "sa_1.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"its \.json is missing"):
        read_sa1b(str(tmp_path), seed=0, limit=None)
    with pytest.raises(ValueError, match="no such file or folder"):
        read_sa1b(str(tmp_path / "none"), seed=0, limit=None)


def test_a_json_above_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    huge = tmp_path / "loose" / "sa_1.json"
    huge.parent.mkdir()
    shutil.copy(_photo(tmp_path), huge.with_suffix(".jpg"))
    with huge.open("wb") as file:
        file.truncate(2**30)  # a gigabyte of nothing
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"sa_1\.json: 1073741824 bytes; the limit is 16000000"):
        read_sa1b(str(huge.parent), seed=0, limit=None)[0]
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    write(tmp_path, good())
    size = len(json.dumps(good()))
    assert len(read_sa1b(str(tmp_path), seed=0, limit=None, max_json_bytes=size)[0].annotations)
    with pytest.raises(ValueError, match=rf"sa_0\.tar:sa_1\.json: {size} bytes; the limit is 9"):
        read_sa1b(str(tmp_path), seed=0, limit=None, max_json_bytes=9)[0]


def _photo(folder: Path) -> Path:
    path = folder / "photo.jpg"
    Image.new("RGB", (4, 6)).save(path)
    return path


def test_other_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    text = json.dumps(good()).encode()
    image = _photo(tmp_path).read_bytes()
    files = {"./LICENSE.txt": b"x", "./._sa_1.jpg": b"x", "./sa_1.json": text, "./sa_1.jpg": image}
    assert list(read_sa1b(str(pack(tmp_path, files)), seed=0, limit=None).keys) == ["sa_1"]


@pytest.mark.parametrize("name", ["../sa_2.jpg", "/sa_2.jpg", "a/../../sa_2.jpg"])
def test_a_name_that_leaves_its_tar_is_refused(tmp_path: Path, name: str) -> None:
    folder = pack(tmp_path, {name: b"", "sa_2.json": b""})
    with pytest.raises(ValueError, match=r"sa_0\.tar:.*leaves the archive"):
        read_sa1b(str(folder), seed=0, limit=None)
    assert not (tmp_path.parent / "sa_2.jpg").exists()


def test_a_tar_of_ten_gigabytes_is_indexed_by_its_headers_alone(tmp_path: Path) -> None:
    path, number = tmp_path / "sa_000000.tar", 1100
    with path.open("wb") as file:
        for index in range(number):
            for suffix, size in ((".jpg", 9_000_000), (".json", 200_000)):
                info = tarfile.TarInfo(f"./sa_{index}{suffix}")
                info.size = size
                file.write(info.tobuf(tarfile.USTAR_FORMAT))
                file.seek(-(-size // 512) * 512, 1)  # a hole: nothing is stored
        file.truncate(file.tell() + 1024)
    assert path.stat().st_size > 10**10
    process = psutil.Process()
    before = process.io_counters().read_chars
    source = read_sa1b(str(path), seed=0, limit=None)
    assert process.io_counters().read_chars - before < 10**8  # 2200 headers, some read ahead
    assert len(source) == number and source.keys[number - 1] == "sa_1099"
    assert len(pickle.dumps(source)) < 100 * number
