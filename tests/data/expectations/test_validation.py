import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.config import Choice
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig, SplitConfig
from maskspace.data.expectations import (
    Report,
    ValidateConfig,
    require_valid,
    tables,
    validate_shards,
    validation,
    write_report,
    write_sample_gallery,
)
from maskspace.data.readers.scenes import read_scenes
from maskspace.data.shards import (
    open_shards,
    sample_places,
    shard_facts,
    write_dataset,
    write_manifest,
    write_shard,
)
from maskspace.masks import encode
from maskspace.types import Sample

from .conftest import CONFIG, Raw, block, encoded, picture, raw, sample_of, with_image, write_shards

SAMPLES = list(read_scenes("", seed=0, limit=4, size_hw=(64, 64)))


def write(folder: Path, train: list[Sample], val: list[Sample]) -> Path:
    for split, samples in (("train", train), ("val", val)):
        write_shard(folder / f"{split}-000000.tar", samples)
    facts = [shard_facts(path) for path in sorted(folder.glob("*.tar"))]
    write_manifest(folder, facts, dataset="scenes", details={"containment": 0.95})
    return folder


def names(report: Report) -> dict[str, tuple[str, ...]]:
    return {o.name: tuple(w.name for w in o.worst) for o in report.broken}


def warned(report: Report) -> dict[str, tuple[str, ...]]:
    return {o.name: tuple(w.name for w in o.worst) for o in report.warnings}


def check(folder: Path) -> dict[str, tuple[str, ...]]:
    return names(validate_shards(folder, CONFIG))


def bad_area(sample: Sample) -> Sample:
    *rest, last = sample.annotations
    return replace(sample, annotations=(*rest, replace(last, area=7)))


def test_whole_shards_pass_and_the_report_never_varies(tmp_path: Path) -> None:
    report = validate_shards(write(tmp_path, SAMPLES[:3], SAMPLES[3:]), CONFIG)
    assert not report.broken and not report.warnings
    assert {o.table: o.checked for o in report.outcomes} == {
        "shards": 2,
        "records": 4,
        "images": 4,
        "dataset": 4,
        "masks": sum(len(s.annotations) for s in SAMPLES),
    }
    pages = []
    for _ in range(2):
        write_report(tmp_path, report)
        write_sample_gallery(tmp_path / "gallery.png", tmp_path, report)
        files = ("report.json", "metrics.json", "report.html", "gallery.png")
        pages.append([(tmp_path / name).read_bytes() for name in files])
    assert pages[0] == pages[1]
    assert json.loads(pages[0][0])["success"] is True
    metrics = json.loads(pages[0][1])
    assert metrics["checked"]["records"] == 4 and set(metrics["failures"].values()) == {0}
    require_valid(report, details=tmp_path)


def test_the_pieces_in_which_shards_are_read_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = bad_area(SAMPLES[1])
    folder = write(tmp_path, [SAMPLES[0], bad, SAMPLES[2], replace(bad, key="again")], SAMPLES[3:])
    whole = validate_shards(folder, CONFIG)
    monkeypatch.setattr(validation, "PART", 1)
    monkeypatch.setattr(tables, "PART", 1)
    order: list[object] = []

    def elsewhere(function: Callable, units: Sequence) -> Iterator[object]:
        """As another process would, through pickles."""
        for unit in units:
            order.append(unit)
            here, there = pickle.loads(pickle.dumps((function, unit)))
            yield pickle.loads(pickle.dumps(here(there)))

    pieces = validate_shards(folder, replace(CONFIG, rows_per_check=1), map_units=elsewhere)
    assert pieces == whole and len(order) == 5
    assert names(whole)["area is that of the run lengths"]


def test_one_image_in_two_splits_is_leakage(tmp_path: Path) -> None:
    copy = replace(SAMPLES[0], key="scenes-copy")
    report = validate_shards(write(tmp_path, SAMPLES[:2], [*SAMPLES[2:], copy]), CONFIG)
    assert names(report) == {
        "the image is in one split": ("scenes-000000 (as scenes-copy of val)",)
    }
    assert not report.warnings


def test_an_image_that_looks_the_same_in_another_split_is_told(tmp_path: Path) -> None:
    one, other = (raw(sample_of("folder", i)) for i in range(2))
    again = raw(sample_of("folder", 0, key="again"))
    again = with_image(again, encoded(picture(0), "JPEG"), "jpg")
    folder = write_shards(tmp_path, "folder", train=[one, other], test=[again])
    found = warned(validate_shards(folder, CONFIG))
    assert found == {
        "no near copy of the image in another split": ("folder-0000 (as again of test)",)
    }
    folder = write_shards(tmp_path / "one", "folder", train=[one, other, again])
    found = warned(validate_shards(folder, CONFIG))
    assert found == {"no near copy of the image in its split": ("again (as folder-0000 of train)",)}


def test_one_image_twice_in_a_split_is_told(tmp_path: Path) -> None:
    both = [raw(sample_of("folder", 0)), raw(sample_of("folder", 0, key="again"))]
    found = warned(validate_shards(write_shards(tmp_path, "folder", train=both), CONFIG))
    assert found == {"the image is in its split once": ("again (as folder-0000 of train)",)}


def test_a_scene_in_two_splits_is_leakage_but_a_single_scene_is_not(tmp_path: Path) -> None:
    def frame(scene: int, index: int) -> Raw:
        key = f"ai_001_{scene:03d}-cam_00-{index:04d}"
        return raw(sample_of("hypersim", index, key=key))

    train, val = [frame(1, 0), frame(2, 1)], [frame(2, 2), frame(3, 3)]
    folder = write_shards(tmp_path / "a", "hypersim", train=train, val=val)
    assert check(folder) == {
        "the group is in one split": ("ai_001_002-cam_00-0001 (as ai_001_002-cam_00-0002 of val)",)
    }
    folder = write_shards(tmp_path / "b", "hypersim", train=[frame(1, 0)], val=[frame(1, 1)])
    assert check(folder) == {}


def test_what_is_unusual_in_its_dataset_is_told_by_its_class(tmp_path: Path) -> None:
    usual = [sample_of("mosaics", 3 * i) for i in range(60)]
    few = sample_of("dsb2018", 300, key="few")
    few = replace(few, annotations=few.annotations[:1])
    large = sample_of("dsb2018", 303, key="large", size_hw=(480, 500))
    small = sample_of("dsb2018", 306, key="small", size_hw=(16, 18))
    train = [raw(replace(one, dataset="dsb2018")) for one in (*usual, few, large, small)]
    corner = train[10].record["annotations"][0]
    corner |= {"counts": encode(block(0, 0, 1, 2)[None])[0], "area": 2, "box_xywh": [0, 0, 2, 1]}
    found = warned(validate_shards(write_shards(tmp_path, "dsb2018", train=train), CONFIG))
    assert found == {
        "not unusually few masks": ("few",),
        "the image is not unusually large": ("large",),
        "the image is not unusually small": ("small",),
        "no mask is unusually small": (train[10].key,),
    }
    for _ in range(40):
        train[20].record["annotations"] += train[20].record["annotations"][:1]
    found = warned(validate_shards(write_shards(tmp_path, "dsb2018", train=train), CONFIG))
    assert found["not unusually many masks"] == (train[20].key,)


def test_a_mask_that_is_unusually_large_is_told(tmp_path: Path) -> None:
    train = [raw(sample_of("mosaics", 3 * i)) for i in range(60)]
    for i, one in enumerate(train):
        one.record["dataset"] = "folder"
        for annotation in one.record["annotations"]:
            small = block(1 + i % 3, 1 + annotation["id"] % 30, 2, 3)
            box = [1 + annotation["id"] % 30, 1 + i % 3, 3, 2]
            annotation |= {"counts": encode(small[None])[0], "area": 6, "box_xywh": box}
    whole = block(0, 0, 47, 64)
    train[7].record["annotations"][0] |= {
        "counts": encode(whole[None])[0],
        "area": 47 * 64,
        "box_xywh": [0, 0, 64, 47],
    }
    found = warned(validate_shards(write_shards(tmp_path, "folder", train=train), CONFIG))
    assert found["no mask is unusually large"] == (train[7].key,)


def test_a_mask_below_the_least_area_is_found(tmp_path: Path) -> None:
    folder = write_shards(tmp_path, "scenes", train=[raw(sample_of("scenes", 0))])
    assert names(validate_shards(folder, replace(CONFIG, min_area=45))) == {}
    found = names(validate_shards(folder, replace(CONFIG, min_area=50)))
    assert list(found) == ["the mask is large enough"]
    assert all(name.startswith("scenes-0000, mask ") for name in found["the mask is large enough"])


@pytest.mark.parametrize("key", ["a b", "tür", "a#1", "a:b"])
def test_a_key_that_can_name_no_file_is_found(tmp_path: Path, key: str) -> None:
    one = raw(sample_of("folder", 0, key=key))
    assert check(write_shards(tmp_path, "folder", train=[one])) == {
        "the key can name a file": (key,)
    }


def test_one_key_twice_is_found(tmp_path: Path) -> None:
    found = check(write(tmp_path, SAMPLES[:2], [*SAMPLES[2:], SAMPLES[0]]))
    assert found["the key is in one record"] == ("scenes-000000 (as scenes-000000 of train)",)


def test_a_shard_changed_after_its_manifest_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:])
    shard = tmp_path / "val-000000.tar"
    write_shard(shard, SAMPLES[2:3])
    found = check(tmp_path)
    for what in ("samples", "masks", "bytes", "sha256"):
        assert found[f"{what} as the manifest says"] == (shard.name,)
    whole = shard.read_bytes()
    for content in (b"cut", whole[:3000], b""):
        shard.write_bytes(content)
        (told,) = check(tmp_path)["the tar is whole and safe"]
        assert told.startswith(shard.name) and "\n" not in told
    shard.unlink()
    assert check(tmp_path)["the tar is whole and safe"][0].startswith("val-000000.tar: No such")


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd"])
def test_a_shard_with_members_that_leave_it_is_unsafe(tmp_path: Path, name: str) -> None:
    one = raw(sample_of("folder", 0))
    one.members.append((name, b"x"))
    (told,) = check(write_shards(tmp_path, "folder", train=[one]))["the tar is whole and safe"]
    assert told.startswith("train-000000.tar") and name in told


def test_a_record_without_its_image_makes_its_shard_unsafe(tmp_path: Path) -> None:
    one = replace(raw(sample_of("folder", 0)), extension="json")
    assert "the tar is whole and safe" in check(write_shards(tmp_path, "folder", train=[one]))


def test_a_sidecar_of_another_shard_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:])
    train, val = (tmp_path / f"{split}-000000.tar.json" for split in ("train", "val"))
    train.write_bytes(val.read_bytes())
    assert check(tmp_path) == {"the sidecar is that of the shard": ("train-000000.tar",)}


def test_a_shard_that_the_manifest_does_not_list_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:3])
    write_shard(tmp_path / "train-000001.tar", SAMPLES[3:])
    assert check(tmp_path)["samples as the manifest says"] == ("train-000001.tar",)


def test_the_error_names_record_and_expectation_in_one_line(tmp_path: Path) -> None:
    bad = bad_area(SAMPLES[1])
    report = validate_shards(write(tmp_path, [SAMPLES[0], bad], SAMPLES[2:]), CONFIG)
    with pytest.raises(ValueError, match="breaks 'area is that of the run lengths'") as caught:
        require_valid(report, details=tmp_path / "report.html")
    assert str(caught.value).startswith("scenes-000001, mask ")
    assert "\n" not in str(caught.value)
    write_report(tmp_path, report)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["success"] is False
    assert "scenes-000001" in (tmp_path / "report.html").read_text()
    write_sample_gallery(tmp_path / "gallery.png", tmp_path, report)
    with Image.open(tmp_path / "gallery.png") as picture_:
        assert picture_.width > 160 and np.ptp(np.asarray(picture_)) > 200


def test_severities_are_chosen_by_name(tmp_path: Path) -> None:
    folder = write(tmp_path, [SAMPLES[0], bad_area(SAMPLES[1])], SAMPLES[2:])
    name = "area is that of the run lengths"
    report = validate_shards(folder, replace(CONFIG, severities={name: "warning"}))
    assert not report.broken and list(warned(report)) == [name]
    report = validate_shards(folder, replace(CONFIG, severities={name: "off"}))
    assert name not in {o.name for o in report.outcomes}
    with pytest.raises(ValueError, match=r"expectation 'area' is unknown; choose one of"):
        replace(CONFIG, severities={"area": "warning"})


def shards_config(kind: str, root: Path, **changes: object) -> ShardsConfig:
    return ShardsConfig(
        **{
            "reader": Choice(name=kind, options={}),
            "root": str(root),
            "seed": 0,
            "limit": 12,
            "split": SplitConfig(mode="hash", val=0.2, test=0.0),
            "split_components": False,
            "min_component_area": 1,
            "containment": 0.95,
            "samples_per_shard": 5,
            "repack": True,
            "store": ".",
            **changes,
        }
    )


REAL: ValidateConfig = replace(
    CONFIG,
    min_area=1,
    max_masks=5000,
    max_side=16384,
    max_depth=16,
    max_record_bytes=1 << 28,
    min_coverage={"bsds500": 0.9, "coco_panoptic": 0.8, "hypersim": 0.3},
)


@pytest.mark.parametrize(
    ("kind", "folder"),
    [
        ("bsds500", "bsds500"),
        ("camvid", "camvid"),
        ("coco", "coco_format/coco_tiny"),
        ("coco_panoptic", "coco_format/coco_panoptic"),
        ("davis", "davis/DAVIS"),
        ("davis_interactive", "davis_interactive"),
        ("dsb2018", "dsb2018"),
        ("grabcut", "grabcut_bsds_subset"),
        ("hypersim", "hypersim"),
        ("sa1b", "sa1b_format/converted"),
    ],
)
def test_real_images_pass(assets: Path, tmp_path: Path, kind: str, folder: str) -> None:
    split = SplitConfig(mode="hash", val=0.0, test=0.0)
    config = shards_config(kind, assets / folder, split=split)
    write_dataset(tmp_path, kind, config, READERS)
    report = validate_shards(tmp_path, REAL)
    assert report.records and names(report) == {}


def test_images_that_shards_only_point_to_are_checked_too(raw: Path, tmp_path: Path) -> None:
    root = tmp_path / "sa1b"
    root.mkdir()
    for path in (raw / "sa1b").glob("*.tar"):
        (root / path.name).write_bytes(path.read_bytes())
    split = SplitConfig(mode="hash", val=0.0, test=0.0)
    write_dataset(
        tmp_path / "out", "sa1b", shards_config("sa1b", root, repack=False, split=split), READERS
    )
    config = replace(REAL, severities={"the image decodes": "off"})
    assert names(validate_shards(tmp_path / "out", config)) == {}
    sample = open_shards(tmp_path / "out", "train")[0]
    assert sample_places(tmp_path / "out" / "train-000000.tar")[0][0] is None
    tar = root / sample.source.split(":")[0]
    content = bytearray(tar.read_bytes())
    at = content.index(sample.image) + len(sample.image) // 2
    content[at : at + 40] = bytes(40)
    tar.write_bytes(content)
    assert names(validate_shards(tmp_path / "out", config)) == {
        "the image is the record's": (sample.key,)
    }
