import json
from pathlib import Path

import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig
from maskspace.data.counts import Counts
from maskspace.data.open_shards import open_shards
from maskspace.data.shards import write_dataset
from maskspace.data.splits import SPLITS
from maskspace.data.summary import counts_by_split, histograms, summary_text, write_pictures
from maskspace.types import Sample


def write(folder: str | Path, **changes: object) -> None:
    value = {
        "reader": {"name": "scenes", "options": {"size_hw": [48, 64]}},
        "root": "",
        "seed": 1,
        "limit": 12,
        "split": {"mode": "hash", "val": 0.3, "test": 0.0},
        "split_components": False,
        "min_component_area": 1,
        "containment": 0.95,
        "samples_per_shard": 4,
        "repack": True,
        "store": ".",
        **changes,
    }
    config = build_section(ShardsConfig, value, place="params.yaml: shards.x")
    write_dataset(folder, "scenes", config, READERS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    write(folder)
    return folder


def test_counting_again_finds_what_the_manifest_says(written: Path) -> None:
    counts = counts_by_split(written)
    assert counts == counts_by_split(written, recount=True)
    assert list(counts) == list(SPLITS)
    for split, found in counts.items():
        samples = list(open_shards(written, split))
        assert found.samples == len(samples)
        assert found.masks == sum(len(sample.annotations) for sample in samples)


def test_a_manifest_without_counts_is_counted(written: Path, tmp_path: Path) -> None:
    for path in written.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((written / "manifest.json").read_text())
    for part in manifest["splits"].values():
        del part["counts"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert counts_by_split(tmp_path) == counts_by_split(written)


def test_every_mask_and_every_image_is_in_one_bin(written: Path) -> None:
    counts = counts_by_split(written)
    areas, masks, depths, sides = histograms(counts).values()
    for histogram, whole in ((areas, "masks"), (masks, "samples"), (depths, "masks")):
        for split, bins in histogram.counts.items():
            assert sum(bins) == getattr(counts[split], whole)
            assert len(bins) == len(histogram.bins)
    assert sides.bins == ["64-127"] and sum(sides.counts["train"]) == counts["train"].samples


def test_the_table_says_what_is_there(written: Path) -> None:
    text = summary_text(written, counts_by_split(written))
    lines = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert lines["samples"][-1] == "12" and lines["smallest image (h x w)"][-1] == "48x64"
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_split_without_samples_is_counted_as_none(written: Path) -> None:
    assert counts_by_split(written)["test"] == Counts()


def test_pictures_are_written_and_are_always_the_same(written: Path, tmp_path: Path) -> None:
    counts = counts_by_split(written)
    first = write_pictures(written, counts, tmp_path / "a")
    again = write_pictures(written, counts, tmp_path / "b")
    assert [path.name for path in first] == ["histograms.png", "contact_sheet.png"]
    for path, other in zip(first, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
        with Image.open(path) as picture:
            assert picture.size[0] > 300


def test_the_command_reads_a_folder_or_a_url(
    written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], s3: str
) -> None:
    write(f"{s3}/info")
    assert main(["shards", "info", str(written), "--out", str(tmp_path / "out")]) == 0
    local = capsys.readouterr().out
    assert main(["shards", "info", f"{s3}/info"]) == 0
    remote = capsys.readouterr().out
    assert remote.splitlines()[1:] == local.splitlines()[1:-2]
    assert (tmp_path / "out" / "contact_sheet.png").is_file()


def test_a_folder_without_shards_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["shards", "info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no manifest.json" in error


def test_samples_without_masks_have_a_picture(tmp_path: Path) -> None:
    from maskspace.data.manifest import write_manifest
    from maskspace.data.shards import write_shard

    sample = READERS["scenes"]("", seed=0, limit=1)[0]
    bare = Sample(**{**vars(sample), "annotations": ()})
    facts = write_shard(tmp_path / "train-000000.tar", [bare])
    write_manifest(tmp_path, [facts], dataset="scenes", details={})
    write_pictures(tmp_path, counts_by_split(tmp_path), tmp_path)
    assert summary_text(tmp_path, counts_by_split(tmp_path))
