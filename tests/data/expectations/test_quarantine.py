import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from maskspace.data.expectations import (
    QuarantineConfig,
    Report,
    require_valid,
    validate_shards,
    write_report,
    write_validated,
)
from maskspace.data.shards import open_shards, read_manifest

from .conftest import CONFIG, Raw, raw, sample_of, write_shards


def config(rate: float):
    return replace(CONFIG, quarantine=QuarantineConfig(rate=rate))


def bad_area(one: Raw) -> Raw:
    one.record["annotations"][0]["area"] += 1
    return one


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Ten records for training, of which one has no JSON, one a wrong area, one an image of val."""
    train = [raw(sample_of("folder", i)) for i in range(10)]
    train[3] = replace(train[3], json=b"{")
    bad_area(train[6])
    val = [raw(sample_of("folder", 8, key="held-out")), raw(sample_of("folder", 20))]
    folder = write_shards(tmp_path / "shards", "folder", train=train, val=val)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["splits"]["train"]["shards"][0]["masks"] += 4  # of the record without JSON
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def put_aside(shards: Path, out: Path, rate: float = 0.5) -> Report:
    out.mkdir(exist_ok=True)
    report = validate_shards(shards, config(rate))
    write_report(out, report)
    write_validated(out, shards, report, from_folder="../shards")
    require_valid(report, details=out)
    return report


def test_bad_records_are_put_aside_with_their_reasons_and_the_rest_goes_on(
    shards: Path, tmp_path: Path
) -> None:
    out = tmp_path / "validate"
    report = put_aside(shards, out)
    assert read_manifest(out)["excluded"] == {"train-000000.tar": [3, 6, 8]}
    lines = [
        json.loads(line) for line in (out / "quarantine/records.jsonl").read_text().splitlines()
    ]
    assert [(line["key"], line["reasons"]) for line in lines] == [
        ("folder-0003", ["the record has the schema"]),
        ("folder-0006", ["area is that of the run lengths"]),
        ("folder-0008", ["the image is in one split"]),
    ]
    with tarfile.open(out / "quarantine/train-000000.tar") as archive:
        names = archive.getnames()
        assert archive.extractfile("folder-0003.json").read() == b"{"  # type: ignore[union-attr]
    assert names == [f"folder-{i:04d}.{e}" for i in (3, 6, 8) for e in ("png", "json")]
    assert json.loads((out / "metrics.json").read_text())["quarantined"] == 3
    assert report.success


def test_what_is_left_is_read_in_order_and_is_valid(shards: Path, tmp_path: Path) -> None:
    put_aside(shards, tmp_path / "validate")
    opened = open_shards(tmp_path / "validate", "train")
    expected = [f"folder-{i:04d}" for i in (0, 1, 2, 4, 5, 7, 9)]
    assert len(opened) == 7 and [sample.key for sample in opened] == expected
    assert [opened[i].key for i in range(7)] == expected
    assert len(open_shards(tmp_path / "validate", "val")) == 2
    kept = [raw(sample) for sample in opened]
    val = [raw(sample) for sample in open_shards(shards, "val")]
    again = write_shards(tmp_path / "again", "folder", train=kept, val=val)
    assert validate_shards(again, CONFIG).broken == ()


def test_nothing_bad_is_an_empty_list(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "shards", "folder", train=[raw(sample_of("folder", 0))])
    put_aside(shards, tmp_path / "out", rate=0.0)
    assert read_manifest(tmp_path / "out")["excluded"] == {}
    assert (tmp_path / "out/quarantine/records.jsonl").read_text() == ""


def test_more_than_the_rate_stops_in_one_line(shards: Path) -> None:
    with pytest.raises(ValueError, match=r"rate allows 0\.1; mend the data") as caught:
        validate_shards(shards, config(0.1))
    assert "folder-0006" in str(caught.value) and "\n" not in str(caught.value)


def test_a_broken_shard_stops_whatever_the_rate(shards: Path) -> None:
    tar = shards / "val-000000.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    with pytest.raises(ValueError, match="a whole shard is more than the quarantine") as caught:
        validate_shards(shards, config(0.9))
    assert str(caught.value).startswith("val-000000.tar") and "\n" not in str(caught.value)
