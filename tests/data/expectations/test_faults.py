"""Planted faults of every sort in every kind: each is found by the expectation that names it."""

import functools
import io
import json
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskspace.data import READERS
from maskspace.data.expectations import EXPECTATIONS, KINDS, Report, validate_shards
from maskspace.masks import encode

from .conftest import (
    CONFIG,
    SIZE,
    Raw,
    block,
    encoded,
    picture,
    raw,
    sample_of,
    with_image,
    write_shards,
)

Change = Callable[[Raw], Raw]


def record(**changes: object) -> Change:
    """Change keys of the record; None of them is checked."""
    return lambda one: replace(one, record={**one.record, **changes})


def mask(number: int, **changes: object) -> Change:
    """Change keys of one annotation."""

    def change(one: Raw) -> Raw:
        found = [dict(a) for a in one.record["annotations"]]
        found[number] |= changes
        return record(annotations=found)(one)

    return change


def text(edit: Callable[[str], str]) -> Change:
    """Change the text of the JSON."""
    return lambda one: replace(one, json=edit(json.dumps(one.record)).encode())


def annotation(found: np.ndarray, number: int, **changes: object) -> dict[str, Any]:
    rows, columns = np.nonzero(found)
    box = (
        (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
        if rows.size
        else (0,) * 4
    )
    return {
        "id": number,
        "counts": encode(found[None])[0],
        "area": int(found.sum()),
        "box_xywh": [int(value) for value in box],
        "parent": None,
        "score": 0.5,
        "ignore": False,
        "layer": 0,
        **changes,
    }


def more(found: np.ndarray, **changes: object) -> Change:
    """Add a mask."""

    def change(one: Raw) -> Raw:
        kept = one.record["annotations"]
        return record(annotations=[*kept, annotation(found, len(kept) + 1, **changes)])(one)

    return change


def fewer(number: int) -> Change:
    """Drop all but the first masks."""

    def change(one: Raw) -> Raw:
        kept = [{**a, "parent": None} for a in one.record["annotations"][:number]]
        return record(annotations=kept)(one)

    return change


def leading_zero(one: Raw) -> Raw:
    """Write the first run of the last mask with a digit too many: same mask, another string."""
    counts = one.record["annotations"][-1]["counts"]
    end = next(i for i, c in enumerate(counts) if not (ord(c) - 48) & 0x20)
    longer = counts[:end] + chr(ord(counts[end]) + 0x20) + "0" + counts[end + 1 :]
    return mask(-1, counts=longer)(one)


def corners(one: Raw) -> Raw:
    """Write a box as SA-1B does: the difference of its inclusive corners."""
    x, y, columns, rows = one.record["annotations"][0]["box_xywh"]
    return mask(0, box_xywh=[x, y, columns - 1, rows - 1])(one)


def same_scores(one: Raw) -> Raw:
    return record(annotations=[{**a, "score": 1.0} for a in one.record["annotations"]])(one)


def shifted(axis: int) -> Change:
    def change(one: Raw) -> Raw:
        box = list(one.record["annotations"][0]["box_xywh"])
        box[axis] += 1
        return mask(0, box_xywh=box)(one)

    return change


def image(content: bytes, extension: str | None = None) -> Change:
    return lambda one: with_image(one, content, extension)


def rotated(one: Raw) -> Raw:
    """The image by EXIF on its side: what is seen is not what the masks were drawn on."""
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture(7)).save(buffer, format="JPEG", exif=exif.tobytes())
    return with_image(one, buffer.getvalue(), "jpg")


def bomb() -> bytes:
    """A PNG whose header claims 3.6 gigapixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0" * 64


def chain(one: Raw) -> Raw:
    """Six masks, each in the next."""
    found = [block(20 - 3 * i, 20 - 3 * i, 4 + 6 * i, 4 + 6 * i) for i in range(6)]
    masks = [annotation(m, i + 1, parent=i + 2 if i < 5 else None) for i, m in enumerate(found)]
    return record(annotations=masks)(one)


def circle(one: Raw) -> Raw:
    return mask(0, parent=2)(mask(1, parent=1)(one))


def near_copy(one: Raw) -> Raw:
    """Add the first mask less a column."""
    x, y, columns, rows = one.record["annotations"][0]["box_xywh"]
    return more(block(y, x, rows, columns - 1))(one)


OVERFLOW = "o" * 30 + "0"
PATTERN = picture(99)
FLAT = encoded(np.full((*SIZE, 3), 90, np.uint8))


@dataclass(frozen=True)
class Fault:
    kind: str
    expectation: str
    change: Change
    name: str


def fault(kind: str, expectation: str, change: Change, name: str) -> Fault:
    return Fault(kind, expectation, change, name)


LAYER = "masks of a layer are disjoint"
COVER = "masks cover the image"
FITS = "run lengths fit the image"
SCHEMA = "the record has the schema"
ONE = "exactly one mask is counted"

FAULTS = [
    fault("sa1b", "the box counts pixels, not corners", corners, "corners"),
    fault("sa1b", "scores are in [0, 1]", mask(0, score=1.5), "score-above"),
    fault("sa1b", SCHEMA, mask(0, score=float("nan")), "score-nan"),
    fault("sa1b", SCHEMA, mask(0, score=float("inf")), "score-infinite"),
    fault("sa1b", "scores are the source's own", same_scores, "scores-equal"),
    fault("sa1b", FITS, mask(0, counts=OVERFLOW), "overflow"),
    fault("sa1b", FITS, mask(1, counts="_" * 5), "cut-number"),
    fault("sa1b", FITS, mask(1, counts="naïve 🦋"), "not-ascii"),
    fault("sa1b", SCHEMA, mask(1, counts="\ud800"), "surrogate"),
    fault("sa1b", FITS, mask(1, counts=""), "nothing"),
    fault("sa1b", "the mask is large enough", more(block(5, 5, 1, 1)), "one-pixel"),
    fault("sa1b", "height within bounds", record(size_hw=[100_000, 100_000]), "beyond-memory"),
    fault("sav", FITS, mask(0, counts=encode(np.ones((1, 9, 9), bool))[0]), "other-size"),
    fault("sav", FITS, mask(0, counts="OPPO"), "negative-run"),
    fault("sav", "run lengths are canonical", leading_zero, "leading-zero"),
    fault("sav", "area is that of the run lengths", mask(0, area=7), "area"),
    fault("sav", "area is that of the run lengths", mask(0, area=-1), "area-negative"),
    *(
        fault("sav", f"the box is tight: {side}", shifted(axis), f"box-{side}")
        for axis, side in enumerate(("x", "y", "columns", "rows"))
    ),
    fault("hypersim", LAYER, more(block(10, 10, 20, 20)), "overlap"),
    fault("hypersim", COVER, fewer(1), "uncovered"),
    fault("dsb2018", LAYER, more(block(0, 0, 2, 2)), "overlap"),
    fault("dsb2018", "the mask is not empty", more(np.zeros(SIZE, bool)), "empty"),
    fault("dsb2018", "ids run from 1 to n", mask(-1, id=99), "gap"),
    fault("dsb2018", "ids are unique in a record", mask(1, id=1), "id-twice"),
    fault("dsb2018", "ids start at 1", mask(0, id=0), "id-zero"),
    fault("dsb2018", "number of masks within bounds", record(annotations=[]), "no-mask"),
    fault("camvid", LAYER, more(block(3, 3, 9, 9)), "overlap"),
    fault("camvid", "width within bounds", record(size_hw=[48, 9000]), "too-wide"),
    fault("davis", LAYER, more(block(3, 3, 9, 9)), "overlap"),
    fault("davis", "the record is of this dataset", record(dataset="davis2017"), "other-set"),
    fault("bsds500", LAYER, more(block(0, 0, 9, 9), layer=1), "overlap-in-a-layer"),
    fault("bsds500", COVER, more(block(0, 0, 30, 30), layer=2), "careless-annotator"),
    fault("hqseg44k", ONE, more(block(30, 40, 9, 9)), "two"),
    fault("davis_interactive", ONE, mask(0, ignore=True), "none-counted"),
    fault("grabcut", ONE, more(block(30, 50, 9, 9)), "two"),
    fault("grabcut", "the mask is not the whole image", more(np.ones(SIZE, bool)), "full"),
    fault("coco_panoptic", COVER, fewer(2), "uncovered"),
    fault("coco_panoptic", LAYER, more(block(20, 20, 9, 9)), "overlap"),
    fault("rectangles", LAYER, more(block(0, 0, 5, 5)), "overlap"),
    fault("mosaics", COVER, fewer(3), "hole"),
    fault("scenes", "the parent exists", mask(2, parent=999), "orphan"),
    fault("scenes", "the parent contains it", mask(3, parent=1), "outside"),
    fault("scenes", "the parent is larger", mask(0, parent=2), "upside-down"),
    fault("scenes", "parents make no circle", circle, "circle"),
    fault("scenes", "parents make no circle", mask(3, parent=4), "own-parent"),
    fault("scenes", "the nest is shallow enough", chain, "deep"),
    fault("folder", "the image decodes", lambda o: with_image(o, o.image[:900]), "cut"),
    fault("folder", "the image decodes", image(b"none"), "text"),
    fault("folder", "the image decodes", image(b""), "empty-image"),
    fault("folder", "the image decodes", image(bomb()), "bomb"),
    fault(
        "folder",
        "the extension is the image's format",
        image(encoded(PATTERN, "PNG"), "jpg"),
        "png",
    ),
    fault("folder", "the image has the masks' height", rotated, "on-its-side"),
    fault("folder", "the image has the masks' width", rotated, "on-its-side-too"),
    fault("folder", "the image is not of one colour", image(FLAT), "flat"),
    fault("folder", "the licence is present", record(licence="unknown"), "no-licence"),
    fault("folder", "the source is present", record(source=" "), "no-source"),
    fault("folder", "the image is the record's", record(sha256="0" * 64), "changed"),
    fault("hqseg44k", "the licence is present", record(licence=""), "no-licence"),
    fault("coco", "the mask is in its layer once", more(block(8, 10, 12, 20)), "copy"),
    fault("coco", "the mask has no near copy", near_copy, "near-copy"),
    fault("coco", SCHEMA, mask(0, id="1"), "id-text"),
    fault("coco", SCHEMA, mask(0, area=7.5), "area-broken"),
    fault("coco", SCHEMA, mask(0, box_xywh=[1, 2, 3]), "box-of-three"),
    fault("coco", SCHEMA, mask(0, box_xywh="1 2 3 4"), "box-text"),
    fault("coco", SCHEMA, mask(0, parent="1"), "parent-text"),
    fault("coco", SCHEMA, mask(0, area=10**30), "area-huge"),
    fault("coco", SCHEMA, mask(0, counts=[1, 2]), "counts-list"),
    fault("coco", SCHEMA, record(size_hw=[0, 64]), "no-rows"),
    fault("coco", SCHEMA, record(size_hw="48x64"), "size-text"),
    fault("coco_lvis", SCHEMA, mask(0, ignore=1), "ignore-number"),
    fault("coco_lvis", SCHEMA, mask(0, colour="red"), "key-unknown"),
    fault("coco_lvis", SCHEMA, record(split="trian"), "split-misspelt"),
    fault("coco_lvis", SCHEMA, record(licence=None), "licence-null"),
    fault("coco_lvis", SCHEMA, record(key="other"), "other-key"),
    fault("coco_lvis", SCHEMA, text(lambda _: "[1, 2]"), "list"),
    fault("coco_lvis", SCHEMA, text(lambda t: t[:-9]), "cut-json"),
    fault("coco_lvis", SCHEMA, text(lambda t: "[" * 100_000), "deep-json"),
    fault("coco_lvis", SCHEMA, text(lambda t: t.replace('"area"', '"arae"')), "key-misspelt"),
    fault("coco_lvis", SCHEMA, text(lambda t: t + " " * 1_000_000), "too-long"),
]


def planted(kind: str) -> list[tuple[str, Raw]]:
    faults = [one for one in FAULTS if one.kind == kind]
    return [
        (one.name, one.change(raw(sample_of(kind, 50 + i, key=f"bad-{one.name}"))))
        for i, one in enumerate(faults)
    ]


@pytest.fixture(scope="module")
def report_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Report]:
    """The report on shards of a kind with all its faults beside clean records."""

    @functools.cache
    def report(kind: str) -> Report:
        folder = tmp_path_factory.mktemp(kind)
        clean = [raw(sample_of(kind, i)) for i in range(3)]
        bad = [one for _, one in planted(kind)]
        write_shards(folder, kind, train=[*clean[:2], *bad], val=clean[2:])
        # what is looked at here is what a record says of itself
        quiet = {
            name: "off" for name, e in EXPECTATIONS.items() if e.table in ("shards", "dataset")
        }
        return validate_shards(folder, replace(CONFIG, severities=quiet))

    return report


def told(report: Report, expectation: str) -> list[str]:
    return [w.name for o in report.outcomes if o.name == expectation for w in o.worst]


@pytest.mark.parametrize("one", FAULTS, ids=lambda f: f"{f.kind}-{f.name}")
def test_a_planted_fault_is_found_by_its_name(report_of, one: Fault) -> None:
    assert any(f"bad-{one.name}" in where for where in told(report_of(one.kind), one.expectation))


@pytest.mark.parametrize("kind", sorted({one.kind for one in FAULTS}))
def test_a_clean_record_beside_them_breaks_nothing(report_of, kind: str) -> None:
    report = report_of(kind)
    everything = [w.name for o in report.outcomes for w in o.worst]
    assert everything and all("bad-" in where for where in everything)


def test_every_expectation_of_records_and_masks_has_a_fault_that_breaks_it() -> None:
    of_a_record = {name for name, one in EXPECTATIONS.items() if one.table in ("records", "masks")}
    assert of_a_record - {one.expectation for one in FAULTS} == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_a_fault_that_its_suite_finds(kind: str) -> None:
    assert kind in {one.kind for one in FAULTS}


def test_every_reader_has_a_suite() -> None:
    assert set(READERS) <= set(KINDS)


def test_a_size_beyond_memory_is_told_and_takes_none(tmp_path: Path) -> None:
    one = record(size_hw=[100_000, 100_000])(raw(sample_of("sa1b", 1)))
    folder = write_shards(tmp_path, "sa1b", train=[one])
    tracemalloc.start()
    try:
        report = validate_shards(folder, CONFIG)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000 * 100_000 / 100
    broken = {o.name for o in report.broken}
    assert {"height within bounds", "width within bounds", FITS} <= broken
