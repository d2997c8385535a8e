import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from maskspace.data.annotations import annotate
from maskspace.data.expectations import (
    ValidateConfig,
    require_valid,
    validate_shards,
    write_report,
)
from maskspace.data.images import encode_png
from maskspace.data.scenes import read_scenes
from maskspace.data.shards import shard_facts, write_manifest, write_shard
from maskspace.masks import encode
from maskspace.types import Sample

CONFIG = ValidateConfig(
    min_masks=1,
    max_masks=200,
    min_area=1,
    min_side=16,
    max_side=512,
    max_record_bytes=10_000_000,
    max_depth=8,
    min_contrast=1.0,
    near_iou=0.95,
    near_bits=3,
    outlier_z=6.0,
    min_coverage={},
    severities={},
    quarantine=None,
    rows_per_check=50,
)
SAMPLES = list(read_scenes("", seed=0, limit=4, size_hw=(64, 64)))


def write(folder: Path, train: list[Sample], val: list[Sample]) -> Path:
    for split, samples in (("train", train), ("val", val)):
        write_shard(folder / f"{split}-000000.tar", samples)
    facts = [shard_facts(path) for path in sorted(folder.glob("*.tar"))]
    write_manifest(folder, facts, dataset="scenes", details={"containment": 0.95})
    return folder


def check(folder: Path) -> dict[str, tuple[str, ...]]:
    return {o.name: tuple(w.name for w in o.first) for o in validate_shards(folder, CONFIG).broken}


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
        pages.append(
            [
                (tmp_path / name).read_bytes()
                for name in ("report.json", "metrics.json", "report.html")
            ]
        )
    assert pages[0] == pages[1]
    assert json.loads(pages[0][0])["success"] is True
    require_valid(report, details=tmp_path)


def edit(**changes: object) -> Callable[[Sample], Sample]:
    """Return what changes the last annotation, a part of a part."""

    def change(sample: Sample) -> Sample:
        *rest, last = sample.annotations
        return replace(sample, annotations=(*rest, replace(last, **changes)))  # type: ignore[arg-type]

    return change


def moved_box(sample: Sample) -> Sample:
    x, y, columns, rows = sample.annotations[-1].box_xywh
    return edit(box_xywh=(x, y, columns + 1, rows))(sample)


def emptied(sample: Sample) -> Sample:
    counts = encode(np.zeros((1, *sample.size_hw), bool))[0]
    return edit(counts=counts, area=0, box_xywh=(0, 0, 0, 0), parent=None)(sample)


def not_canonical(sample: Sample) -> Sample:
    """Write the first run with a leading zero: same mask, another string."""
    counts = sample.annotations[-1].counts
    end = next(i for i, character in enumerate(counts) if not (ord(character) - 48) & 0x20)
    longer = counts[:end] + chr(ord(counts[end]) + 0x20) + "0" + counts[end + 1 :]
    return edit(counts=longer)(sample)


def outside_its_parent(sample: Sample) -> Sample:
    corner = np.zeros((1, *sample.size_hw), bool)
    corner[0, -1, -1] = True
    (spot,) = annotate(corner)
    first = sample.annotations[0].id
    return edit(counts=spot.counts, area=1, box_xywh=spot.box_xywh, parent=first)(sample)


BROKEN: dict[str, Callable[[Sample], Sample]] = {
    "area is that of the run lengths": edit(area=7),
    "run lengths fit the image": edit(counts="0"),
    "run lengths are canonical": not_canonical,
    "the box is tight: columns": moved_box,
    "ids are unique in a record": edit(id=1),
    "ids start at 1": edit(id=0),
    "ids run from 1 to n": edit(id=99),
    "scores are in [0, 1]": edit(score=1.5),
    "the parent exists": edit(parent=999),
    "the parent contains it": outside_its_parent,
    "the mask is not empty": emptied,
    "the image decodes": lambda s: replace(s, image=b"none"),
    "the image has the masks' height": lambda s: replace(
        s, image=encode_png(np.zeros((32, 64, 3), np.uint8))
    ),
    "the image has the masks' width": lambda s: replace(
        s, image=encode_png(np.zeros((64, 32, 3), np.uint8))
    ),
    "number of masks within bounds": lambda s: replace(s, annotations=()),
    "the record is of this dataset": lambda s: replace(s, dataset="mosaics"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_violation_is_found_and_names_its_record(tmp_path: Path, name: str) -> None:
    bad = BROKEN[name](SAMPLES[1])
    found = check(write(tmp_path, [SAMPLES[0], bad], SAMPLES[2:]))
    assert name in found
    assert all(where.startswith(bad.key) for where in found[name])


def test_one_image_in_two_splits_is_leakage(tmp_path: Path) -> None:
    copy = replace(SAMPLES[0], key="scenes-copy")
    found = check(write(tmp_path, SAMPLES[:2], [*SAMPLES[2:], copy]))
    assert found == {"the image is in one split": ("scenes-000000 (as scenes-copy of val)",)}


def test_one_key_twice_is_found(tmp_path: Path) -> None:
    found = check(write(tmp_path, SAMPLES[:2], [*SAMPLES[2:], SAMPLES[0]]))
    assert found["the key is in one record"] == ("scenes-000000 (as scenes-000000 of train)",)


def test_a_shard_changed_after_its_manifest_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:])
    write_shard(tmp_path / "val-000000.tar", SAMPLES[2:3])
    assert check(tmp_path)["sha256 as the manifest says"] == ("val-000000.tar",)
    (tmp_path / "val-000000.tar").write_bytes(b"cut")
    (told,) = check(tmp_path)["the tar is whole and safe"]
    assert told.startswith("val-000000.tar: ")
    (tmp_path / "val-000000.tar").unlink()
    (told,) = check(tmp_path)["the tar is whole and safe"]
    assert told.startswith("val-000000.tar: ")


def test_a_shard_that_the_manifest_does_not_list_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:3])
    write_shard(tmp_path / "train-000001.tar", SAMPLES[3:])
    assert check(tmp_path)["samples as the manifest says"] == ("train-000001.tar",)


def test_a_record_of_another_schema_is_found(tmp_path: Path) -> None:
    write(tmp_path, SAMPLES[:2], SAMPLES[2:])
    tar = tmp_path / "val-000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b'"counts":', b'"county":'))
    found = check(tmp_path)
    assert found["the record has the schema"][0].startswith("val-000000.tar:scenes-000002.json")


def test_the_error_names_record_and_expectation_in_one_line(tmp_path: Path) -> None:
    bad = edit(area=7)(SAMPLES[1])
    report = validate_shards(write(tmp_path, [SAMPLES[0], bad], SAMPLES[2:]), CONFIG)
    with pytest.raises(ValueError, match="breaks 'area is that of the run lengths'") as caught:
        require_valid(report, details=tmp_path / "report.html")
    assert str(caught.value).startswith("scenes-000001, mask ")
    assert "\n" not in str(caught.value)
    write_report(tmp_path, report)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["success"] is False
    assert "scenes-000001" in (tmp_path / "report.html").read_text()
