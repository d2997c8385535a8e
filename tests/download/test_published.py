"""Every dataset that is published in archives: as it is published, downloaded, and read whole."""

import io
import json
import tarfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from maskspace.cli import main
from maskspace.data import READERS
from maskspace.download import tasks
from maskspace.download.catalogue import OFFICIAL
from tests.data.conftest import write_hqseg44k
from tests.download.web_server import WebServer, drop_after, first_times, web_server

Files = dict[str, bytes]
SIZE_HW = (12, 16)
UPPER = np.arange(12)[:, None] < 6 + np.zeros((1, 16), int)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def photo(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def bsds500() -> Files:
    data, files = "BSR/BSDS500/data", {"BSR/bench/benchmarks/allBench.m": b"% code"}
    for split in ("train", "val", "test"):
        mat, cells = io.BytesIO(), np.empty((1, 2), object)
        for number in range(2):
            cells[0, number] = {"Segmentation": (1 + (number + UPPER) % 2).astype(np.uint16)}
        savemat(mat, {"groundTruth": cells})
        files[f"{data}/images/{split}/8{len(split)}.jpg"] = photo(len(split))
        files[f"{data}/images/{split}/Thumbs.db"] = b""
        files[f"{data}/groundTruth/{split}/8{len(split)}.mat"] = mat.getvalue()
    return {"BSR_bsds500.tgz": tarred(files)}


SPLITS = {"train": 1, "val": 2}


def stem(number: int) -> str:
    return f"{number:012d}"


def coco_images() -> Files:
    return {
        f"{split}2017.zip": zipped({f"{split}2017/{stem(number)}.jpg": photo(number)})
        for split, number in SPLITS.items()
    }


def coco_json(split: str, annotation: dict, **image: object) -> bytes:
    number = SPLITS[split]
    said = {"id": number, "height": 12, "width": 16, "license": 4, **image}
    one = {"id": 1, "image_id": number, "category_id": 1, "iscrowd": 0, **annotation}
    licences = [{"id": 4, "name": "Attribution License"}]
    return json.dumps({"images": [said], "annotations": [one], "licenses": licences}).encode()


SQUARE = {"segmentation": [[1, 1, 11, 1, 11, 11, 1, 11]]}


def coco() -> Files:
    said = {
        f"annotations/{kind}_{split}2017.json": coco_json(
            split, SQUARE, file_name=f"{stem(number)}.jpg"
        )
        for split, number in SPLITS.items()
        for kind in ("instances", "captions")
    }
    return {"annotations_trainval2017.zip": zipped(said), **coco_images()}


def lvis() -> Files:
    files = coco_images()
    for split, number in SPLITS.items():
        url = f"http://images.cocodataset.org/{split}2017/{stem(number)}.jpg"
        text = coco_json(split, SQUARE, coco_url=url)
        files[f"lvis_v1_{split}.json.zip"] = zipped({f"lvis_v1_{split}.json": text})
    return files


def coco_panoptic() -> Files:
    said = {"__MACOSX/annotations/._panoptic_val2017.json": b"junk"}
    for split, number in SPLITS.items():
        name = f"panoptic_{split}2017"
        segments = [
            {"id": 1, "category_id": 1, "iscrowd": 0, "area": 96},
            {"id": 2, "category_id": 119, "iscrowd": 0, "area": 96},
        ]
        record = {"file_name": f"{stem(number)}.png", "segments_info": segments}
        said[f"annotations/{name}.json"] = coco_json(split, record, file_name=f"{stem(number)}.jpg")
        labels = np.where(UPPER, 1, 2)[..., None] * (1, 0, 0)
        said[f"annotations/{name}.zip"] = zipped(
            {f"{name}/{stem(number)}.png": png(labels), f"__MACOSX/{name}/._x.png": b"junk"}
        )
    return {"panoptic_annotations_trainval2017.zip": zipped(said), **coco_images()}


def davis(year: int) -> Files:
    files = {}
    for split, sequence in (("train", "bear"), ("val", "camel")):
        frames = [f"480p/{sequence}/{frame:05d}" for frame in range(2)]
        for name in frames:
            files[f"DAVIS/JPEGImages/{name}.jpg"] = photo(len(files))
            files[f"DAVIS/Annotations/{name}.png"] = png(255 * UPPER if year == 2016 else UPPER)
        lines = (
            [f"/JPEGImages/{name}.jpg /Annotations/{name}.png" for name in frames]
            if year == 2016
            else [sequence]
        )
        folder = "480p" if year == 2016 else "2017"
        files[f"DAVIS/ImageSets/{folder}/{split}.txt"] = "\n".join([*lines, ""]).encode()
    return files


def hqseg44k(folder: Path) -> Files:
    write_hqseg44k(folder)
    return {
        f"{top.name}.zip": zipped(
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(top.rglob("*.*"))
                if path.is_file()
            }
        )
        for top in folder.iterdir()
    }


PUBLISHED: dict[str, Callable[[Path], Files]] = {
    "bsds500": lambda _: bsds500(),
    "coco": lambda _: coco(),
    "coco_lvis": lambda _: lvis() | coco_panoptic(),
    "coco_panoptic": lambda _: coco_panoptic(),
    "davis": lambda _: {"DAVIS-2017-trainval-480p.zip": zipped(davis(2017))},
    "davis2016": lambda _: {"DAVIS-data.zip": zipped(davis(2016))},
    "davis_interactive": lambda _: {
        "DAVIS.zip": zipped({"DAVIS/img/a_0.jpg": photo(0), "DAVIS/gt/a_0.png": png(255 * UPPER)})
    },
    "hqseg44k": hqseg44k,
    "lvis": lambda _: lvis(),
}

#: How many samples of each split the archives above hold.
HELD = {
    **{name: {"train": 1, "val": 1} for name in ("coco", "coco_lvis", "coco_panoptic", "lvis")},
    **{name: {"train": 2, "val": 2} for name in ("davis", "davis2016")},
    "bsds500": {"train": 1, "val": 1, "test": 1},
    "davis_interactive": {"test": 1},
    "hqseg44k": {"train": 14, "val": 8},
}


@pytest.fixture
def published(
    request: pytest.FixtureRequest,
    server: WebServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """A dataset's name, its archives being served; ours are small: no known size and hash."""
    name = request.param
    server.files |= PUBLISHED[name](tmp_path / "made")
    official = OFFICIAL[name]
    assert {file.name for file in official.files} == set(server.files)
    files = tuple(replace(file, size=None, hash=None) for file in official.files)
    monkeypatch.setattr(tasks, "OFFICIAL", {name: replace(official, files=files)})
    return name


def test_every_dataset_is_tried_here_or_member_by_member_or_by_its_links() -> None:
    others = {name for name, one in OFFICIAL.items() if one.scenes or one.links}
    assert others == {"hypersim", "sa1b"} and set(PUBLISHED) | others == set(OFFICIAL)


@pytest.mark.parametrize("published", PUBLISHED, indirect=True)
def test_what_is_published_is_fetched_through_faults_and_read_as_it_is_told(
    published: str, server: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    server.faults += [
        first_times(1, lambda handler: handler.answer(503, b"", {"Retry-After": "0"}) or True),
        first_times(2, drop_after(200)),
    ]
    assert main(["download", published, "--out", str(out), "--mirror", server.url]) == 0
    said = capsys.readouterr().out
    assert OFFICIAL[published].licence.name in said
    kind, root = said.rsplit("--data ", 1)[1].strip().split(":", 1)
    assert (kind, root) == (OFFICIAL[published].kind, str(out))
    samples = list(READERS[kind](root, seed=0, limit=None))
    assert Counter(sample.split for sample in samples) == HELD[published]
    assert all(sample.annotations for sample in samples)
    left = [path.name for path in out.rglob("*") if path.suffix in (".partial", ".zip", ".tgz")]
    assert left == [] and not any("MACOSX" in path.parts for path in out.rglob("*"))


@pytest.mark.parametrize("published", ["coco", "lvis", "hqseg44k", "bsds500"], indirect=True)
def test_words_choose_archives_by_name(published: str, server: WebServer, tmp_path: Path) -> None:
    chosen = sorted(server.files)[0]
    command = ["download", published, "--out", str(tmp_path / "out"), "--mirror", server.url]
    assert main([*command, "--contains", chosen]) == 0
    assert {name for name, _ in server.requests} == {chosen}


@pytest.mark.parametrize("published", ["davis_interactive"], indirect=True)
def test_the_command_keeps_to_its_bandwidth(
    published: str, server: WebServer, tmp_path: Path
) -> None:
    """What it waits for is bandwidth: a machine of any speed and load takes as long, or longer."""
    noise = np.random.default_rng(0).bytes(40_000)
    server.files["DAVIS.zip"] = zipped({"DAVIS/img/a.jpg": noise, "DAVIS/gt/a.png": b"1"})
    command = ["download", published, "--out", str(tmp_path / "out"), "--mirror", server.url]
    begun = time.monotonic()
    assert main([*command, "--bandwidth", "80000"]) == 0
    assert time.monotonic() - begun >= 40_000 / 80_000
