import json
import multiprocessing
import pickle
import shutil
import tarfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data import open_shards as module
from maskspace.data.config import ShardsConfig
from maskspace.data.manifest import facts_of, read_sidecar, sidecar_path
from maskspace.data.open_shards import Shards, open_shards
from maskspace.data.shards import (
    SPLITS,
    read_manifest,
    read_sample,
    sample_places,
    shard_facts,
    write_dataset,
)
from maskspace.data.source import ImagePlace, Source
from maskspace.files import AnyPath, RemoteFile, locate
from maskspace.types import Sample


def config(**changes: object) -> ShardsConfig:
    value = {
        "reader": {"name": "rectangles", "options": {"size_hw": [24, 32]}},
        "root": "",
        "seed": 1,
        "limit": 30,
        "split": {"mode": "hash", "val": 0.2, "test": 0.2},
        "split_components": False,
        "min_component_area": 1,
        "containment": 0.95,
        "samples_per_shard": 7,
        "repack": True,
        "store": ".",
        **changes,
    }
    return build_section(ShardsConfig, value, place="params.yaml: shards.x")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write_dataset(folder, "rectangles", config(), READERS)
    return folder


def every(folder: str | AnyPath) -> dict[str, list[Sample]]:
    return {split: list(open_shards(folder, split)) for split in SPLITS}


def copied(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "copy"))


def test_any_index_is_read_directly_also_in_copies(written: Path) -> None:
    shards = open_shards(written, "train")
    samples = list(shards)
    assert len(samples) == len(shards)
    assert [shards[i] for i in (5, 0, -1)] == [samples[5], samples[0], samples[-1]]
    assert shards[3:6] == samples[3:6] == list(shards.read_range(3, 6))
    assert list(pickle.loads(pickle.dumps(shards))) == samples
    with pytest.raises(IndexError):
        shards[len(shards)]


def test_the_size_of_a_read_changes_no_sample(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = list(open_shards(written, "train"))
    for size in (1, 3000, 20_000):
        monkeypatch.setattr(module, "SPAN_BYTES", size)
        assert list(open_shards(written, "train")) == samples


def test_few_open_files_change_no_sample(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = list(open_shards(written, "train"))
    monkeypatch.setattr(module, "OPEN_FILES", 1)
    shards = open_shards(written, "train")
    order = np.random.default_rng(0).permutation(len(shards)).tolist()
    assert [shards[i] for i in order] == [samples[i] for i in order]


def read_keys(shards: Sequence[Sample], indices: list[int], queue: Any) -> None:
    queue.put([shards[i].key for i in indices])


def test_forked_workers_share_nothing(written: Path, s3: str) -> None:
    write_dataset(f"{s3}/forked", "rectangles", config(limit=20), READERS)
    for folder in (written, f"{s3}/forked"):
        shards = open_shards(folder, "train")
        keys = [sample.key for sample in shards]
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        orders = [list(range(len(keys))), list(range(len(keys)))[::-1]]
        workers = [context.Process(target=read_keys, args=(shards, o, queue)) for o in orders]
        for worker in workers:
            worker.start()
        answers = [queue.get() for _ in workers]
        for worker in workers:
            worker.join()
        assert sorted(answers) == sorted([[keys[i] for i in order] for order in orders])


def test_threads_share_files_and_nothing_else(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_FILES", 2)
    shards, found = open_shards(written, "train"), {}
    samples = list(shards)

    def read(number: int) -> None:
        order = np.random.default_rng(number).permutation(len(samples)).tolist() * 3
        found[number] = all(shards[i] == samples[i] for i in order)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), True)


def test_without_sidecars_the_headers_are_read(written: Path, tmp_path: Path) -> None:
    copy = copied(written, tmp_path)
    for tar in copy.glob("*.tar"):
        if tar.name.startswith("train"):
            sidecar_path(tar).unlink()
        else:
            sidecar_path(tar).write_text("{")
    assert every(copy) == every(written)


def test_a_sample_of_a_url_is_one_request(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(f"{s3}/counted", "rectangles", config(), READERS)
    shards = open_shards(f"{s3}/counted", "train")
    shards[0]
    requests = []
    read_at = RemoteFile.read_at

    def counted(self: RemoteFile, offset: int, size: int) -> bytes:
        requests.append((offset, size))
        return read_at(self, offset, size)

    monkeypatch.setattr(RemoteFile, "read_at", counted)
    assert [shards[i].key for i in (1, 2, 4)] and len(requests) == 3
    assert len(list(shards.read_range(0, 7))) == 7 and len(requests) == 4


@pytest.mark.parametrize("kind", ["file", "memory", "s3"])
def test_the_same_shards_come_out_at_every_url(
    written: Path, tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue("s3") if kind == "s3" else f"{kind}://{tmp_path}"
    folder = f"{base}/round/trip"
    write_dataset(folder, "rectangles", config(), READERS)
    there = {path.name: path.read_bytes() for path in locate(folder).iterdir()}
    assert there == {path.name: path.read_bytes() for path in written.iterdir()}
    assert every(folder) == every(written)


def test_shards_are_read_from_the_web(written: Path, s3: str, s3_server: str) -> None:
    folder = f"{s3}/public"
    write_dataset(folder, "rectangles", config(), READERS)
    for path in locate(folder).iterdir():
        path.fs.chmod(path.path, "public-read")  # type: ignore[union-attr]
    assert every(f"{s3_server}/maskspace-test/public") == every(written)


def test_a_run_on_a_url_goes_on_where_it_ended(s3: str) -> None:
    def killed(function: Any, units: Sequence[Any]) -> Any:
        for unit in units[:3]:
            function(unit)
        raise KeyboardInterrupt

    folder = f"{s3}/killed"
    with pytest.raises(KeyboardInterrupt):
        write_dataset(folder, "rectangles", config(), READERS, map_units=killed)
    tars = {p.name: p.stat().st_mtime for p in locate(folder).glob("*.tar")}
    assert len(tars) == 3
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        open_shards(folder, "train")
    write_dataset(folder, "rectangles", config(), READERS)
    again = {p.name: p.stat().st_mtime for p in locate(folder).glob("*.tar")}
    assert tars.items() <= again.items()


def test_shards_may_be_stored_elsewhere_than_their_manifest(
    written: Path, tmp_path: Path, s3: str
) -> None:
    there = f"{s3}/store"
    write_dataset(tmp_path / "here", "rectangles", config(store=there), READERS)
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["manifest.json"]
    assert every(tmp_path / "here") == every(f"{there}/here") == every(written)


def test_a_truncated_or_altered_shard_is_one_line(written: Path, tmp_path: Path) -> None:
    copy = copied(written, tmp_path)
    tar = copy / "train-000000.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:3000])
    with pytest.raises(ValueError, match=r"train-000000\.tar: has 3000 bytes, .*again"):
        open_shards(copy, "train")[0]
    tar.unlink()
    with pytest.raises(ValueError, match=r"train-000000\.tar: missing.*again"):
        open_shards(copy, "train")[0]
    tar.write_bytes(whole[::-1])
    with pytest.raises(ValueError, match=r"train-000000\.tar:.*again"):
        open_shards(copy, "train")[0]
    other = max(copy.glob("train-*.tar"), key=lambda path: path.stat().st_size == len(whole))
    tar.write_bytes((written / other.name).read_bytes().ljust(len(whole), b"\0")[: len(whole)])
    if other.name != tar.name:
        with pytest.raises(ValueError, match=r"train-000000\.tar:.*again"):
            list(open_shards(copy, "train"))


def test_a_truncated_shard_at_a_url_is_one_line(s3: str) -> None:
    folder = locate(f"{s3}/short")
    write_dataset(folder, "rectangles", config(), READERS)
    tar = folder / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:3000])
    with pytest.raises(ValueError, match=r"train-000000\.tar: .*(again|check it)"):
        list(open_shards(folder, "train"))


def test_a_sidecar_of_another_shard_is_not_believed(written: Path, tmp_path: Path) -> None:
    copy = copied(written, tmp_path)
    first, second = (copy / f"train-00000{number}.tar" for number in range(2))
    sidecar_path(first).write_bytes(sidecar_path(second).read_bytes())
    assert every(copy) == every(written)


def test_unknown_splits_and_missing_manifests_are_one_line(written: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split 'dev' is unknown"):
        open_shards(written, "dev")
    with pytest.raises(ValueError, match=r"no manifest\.json"):
        open_shards(tmp_path, "train")


def place_of(index: int, *, places: list[ImagePlace]) -> ImagePlace:
    return places[index]


def read_pointed(root: str, *, seed: int, limit: int | None) -> Source:
    """A dataset whose images lie one after another in `images.bin`, some way from the start."""
    drawn = READERS["rectangles"]("", seed=seed, limit=limit)
    assert isinstance(drawn, Source)
    places, offset = [], 100
    for sample in drawn:
        places.append(ImagePlace("deep/images.bin", offset, len(sample.image)))
        offset += len(sample.image)
    return Source(
        keys=drawn.keys,
        splits=drawn.splits,
        read=drawn.read,
        image_place=partial(place_of, places=places),
    )


@pytest.fixture
def by_reference(tmp_path: Path) -> Path:
    """The images of a dataset, and shards that point to them."""
    images = tmp_path / "raw" / "deep" / "images.bin"
    images.parent.mkdir(parents=True)
    drawn = READERS["rectangles"]("", seed=1, limit=30)
    images.write_bytes(bytes(100) + b"".join(sample.image for sample in drawn))
    point = config(
        reader={"name": "pointed", "options": {}}, root=str(tmp_path / "raw"), repack=False
    )
    write_dataset(tmp_path / "shards", "rectangles", point, {"pointed": read_pointed})
    return tmp_path


def test_shards_that_point_to_images_give_the_same_samples(by_reference: Path) -> None:
    drawn = {s.key: s for s in READERS["rectangles"]("", seed=1, limit=30)}
    folder = by_reference / "shards"
    found = {sample.key: sample for part in every(folder).values() for sample in part}
    assert found == drawn
    images = sum(len(sample.image) for sample in drawn.values())
    counts = [part["counts"] for part in read_manifest(folder)["splits"].values()]
    assert sum(count["image_bytes"] for count in counts) == images
    for tar in folder.glob("*.tar"):
        assert all(image is None for image, _ in sample_places(tar))
        assert not any(sample.image in tar.read_bytes() for sample in drawn.values())


SA1B = {
    "reader": {"name": "sa1b", "options": {}},
    "limit": None,
    "split": {"mode": "hash", "val": 0.0, "test": 0.0},
}


@pytest.mark.parametrize("layout", ["tars", "one tar", "loose"])
@pytest.mark.parametrize("place", ["here", "s3"])
def test_sa1b_is_read_from_its_own_files(
    raw: Path, tmp_path: Path, layout: str, place: str, request: pytest.FixtureRequest
) -> None:
    root = raw / "sa1b"
    if layout == "one tar":
        root = root / "sa_000001.tar"
    elif layout == "loose":
        root = tmp_path / "loose"
        for tar in (raw / "sa1b").glob("*.tar"):
            with tarfile.open(tar) as archive:
                archive.extractall(root)
    if place == "s3":
        url = locate(f"{request.getfixturevalue('s3')}/{tmp_path.name}/{root.name}")
        url.fs.put(str(root), url.path, recursive=True)  # type: ignore[union-attr]
        source = str(url)
    else:
        source = str(root)
    write_dataset(tmp_path / "copied", "sa1b", config(root=str(root), **SA1B), READERS)
    by_reference = config(root=source, repack=False, **SA1B)
    write_dataset(tmp_path / "pointed", "sa1b", by_reference, READERS)
    assert every(tmp_path / "pointed") == every(tmp_path / "copied")
    sizes = [
        sum(p.stat().st_size for p in (tmp_path / n).glob("*.tar")) for n in ("pointed", "copied")
    ]
    assert sizes[0] < sizes[1]


def test_a_pointed_to_image_is_read_from_a_url_too(by_reference: Path, s3: str) -> None:
    for name in ("raw/deep/images.bin",):
        target = locate(f"{s3}/pointed/{name}")
        target.write_bytes((by_reference / name).read_bytes())
    manifest = by_reference / "shards" / "manifest.json"
    local = every(by_reference / "shards")
    value = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**value, "root": f"{s3}/pointed/raw"}))
    assert every(by_reference / "shards") == local


def test_an_image_that_changed_or_went_is_one_line(by_reference: Path) -> None:
    images = by_reference / "raw" / "deep" / "images.bin"
    content = images.read_bytes()
    folder = by_reference / "shards"
    damaged = bytearray(content)
    damaged[-20:] = bytes(20)
    images.write_bytes(damaged)
    with pytest.raises(ValueError, match=r"images\.bin, for .*: its image has changed since"):
        every(folder)
    images.write_bytes(content[:-20])
    with pytest.raises(ValueError, match=r"images\.bin, for .*: truncated"):
        every(folder)
    images.unlink()
    with pytest.raises(ValueError, match=r"images\.bin: missing, .* points to it"):
        every(folder)


@pytest.mark.parametrize("file", ["../../secret", "/etc/passwd", "s3://other/x", "a/../../b"])
def test_a_record_points_to_nothing_outside_of_its_dataset(by_reference: Path, file: str) -> None:
    folder = by_reference / "shards"
    tar = folder / "train-000000.tar"
    image, label = sample_places(tar)[0]
    facts = facts_of(read_manifest(folder), "train")[0]
    read = Shards([tar], [facts], images=by_reference / "raw")
    content = tar.read_bytes().replace(
        b'"file":"deep/images.bin"', f'"file":"{file}"'.ljust(24).encode()
    )
    tar.write_bytes(content)
    with pytest.raises(ValueError, match="points to no image of its dataset"):
        read[0]
    with pytest.raises(ValueError, match="points to no image of its dataset"):
        read_sample(tar, image, label, images=by_reference / "raw")


def test_a_reader_that_cannot_point_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rectangles: its images have to be copied; set repack"):
        write_dataset(tmp_path, "rectangles", config(repack=False), READERS)


def test_a_read_through_the_headers_checks_the_image(written: Path, tmp_path: Path) -> None:
    copy = copied(written, tmp_path)
    tar = copy / "train-000000.tar"
    image, label = sample_places(tar)[0]
    assert image is not None and read_sample(tar, image, label) == open_shards(copy, "train")[0]
    content = bytearray(tar.read_bytes())
    content[image.offset + image.size // 2] ^= 1
    tar.write_bytes(content)
    with pytest.raises(ValueError, match="its image has changed since"):
        read_sample(tar, image, label)
    with pytest.raises(ValueError, match="its image has changed since"):
        shard_facts(tar)


def test_a_sidecar_says_where_the_samples_are(written: Path) -> None:
    for tar in written.glob("*.tar"):
        sidecar = read_sidecar(tar)
        assert sidecar is not None
        for place, (image, label) in zip(sidecar.places, sample_places(tar), strict=True):
            assert image is not None
            assert (place.image, place.image_offset, place.image_size) == (
                image.name,
                image.offset,
                image.size,
            )
            assert (place.label_offset, place.label_size) == (label.offset, label.size)
