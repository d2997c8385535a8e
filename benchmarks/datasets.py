"""Every dataset kind to shards, on the real samples at hand: records, masks, bytes and seconds.

    MASKSPACE_ASSETS=FOLDER python -m benchmarks.datasets

Prints the measured table of docs/datasets.md, in Markdown: each set is read whole, in one process,
and written with its masks as they are. A set that is not in the folder is said to be missing. Of
SA-V and LVIS the folder has the annotations alone: their images are blank ones of the right size.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from maskspace.config import Choice
from maskspace.data import READERS
from maskspace.data.config import ShardsConfig, SplitConfig
from maskspace.data.shards import open_shards, read_manifest, write_dataset

HEADER = (
    "| reader | set | licence in the records | records | masks | of them ignored | image bytes "
    "| shard bytes | seconds | records/s |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|"
)


@dataclass(frozen=True)
class RealSet:
    """A set in the folder of real samples, and how its reader is called.

    `complete(folder, target)`, where images are missing, makes a whole dataset in `target`.
    """

    kind: str
    folder: str
    options: dict[str, Any] = field(default_factory=dict)
    complete: Callable[[Path, Path], None] | None = None


def blank(path: Path, width: int, height: int) -> None:
    """Write a black image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height)).save(path)


def sav_with_frames(folder: Path, target: Path) -> None:
    """Copy SA-V's annotations and put a blank frame beside each annotated one."""
    for path in sorted(folder.glob("*.json")):
        shutil.copy(path, target)
        video = json.loads(path.read_text())
        for number in range(len(video["masklet"])):
            name = f"{path.stem.rsplit('_', 1)[0]}/{4 * number:05d}.jpg"
            blank(target / name, int(video["video_width"]), int(video["video_height"]))


def lvis_with_images(folder: Path, target: Path) -> None:
    """Copy LVIS's annotations and put the images that they name beside them, blank."""
    for path in sorted(folder.glob("*.json")):
        shutil.copy(path, target)
        for image in json.loads(path.read_text())["images"]:
            blank(target / "images" / image["file_name"], image["width"], image["height"])


SETS = (
    RealSet("sa1b", "sa1b_format/converted"),
    RealSet("hypersim", "hypersim"),
    RealSet("davis", "davis/DAVIS"),
    RealSet("davis_interactive", "davis_interactive"),
    RealSet("coco", "coco_format/coco_tiny"),
    RealSet("coco", "coco_format/balloon"),
    RealSet("coco", "coco_format/labelme_voc_coco"),
    RealSet("coco", "lvis_format", complete=lvis_with_images),
    RealSet("coco_panoptic", "coco_format/coco_panoptic"),
    RealSet("bsds500", "bsds500"),
    RealSet("dsb2018", "dsb2018"),
    RealSet("camvid", "camvid"),
    RealSet("grabcut", "grabcut_bsds_subset"),
    RealSet("sav", "sa1b_format/sav_example", {"masklets": "both"}, complete=sav_with_frames),
    RealSet(
        "folder",
        "voc_format",
        {"images": "JPEGImages", "labels": "SegmentationObject", "ignored": 255},
    ),
    RealSet("folder", "fine_masks", {"images": "im", "labels": "gt", "kind": "masks"}),
)


def measured(one: RealSet, assets: Path, work: Path) -> str:
    """Write the shards of a set in a folder of `work` and return its row."""
    root, folder = assets / one.folder, work / "shards"
    if one.complete is not None:
        one.complete(root, work)
        root = work
    config = ShardsConfig(
        reader=Choice(name=one.kind, options=one.options),
        root=str(root),
        seed=0,
        limit=None,
        split=SplitConfig(mode="hash", val=0.0, test=0.0),
        split_components=False,
        min_component_area=1,
        containment=0.95,
        samples_per_shard=128,
        repack=True,
        store=".",
    )
    start = time.perf_counter()
    write_dataset(folder, one.kind, config, READERS)
    seconds = time.perf_counter() - start
    totals = read_manifest(folder)["totals"]
    samples = open_shards(folder, "train")
    licences = ", ".join(sorted({sample.licence for sample in samples}))
    ignored = sum(a.ignore for sample in samples for a in sample.annotations)
    image_bytes = sum(len(sample.image) for sample in samples)
    numbers = (totals["samples"], totals["masks"], ignored, image_bytes, totals["bytes"])
    cells = " | ".join(f"{number:,}".replace(",", " ") for number in numbers)
    rate = totals["samples"] / seconds
    name = f"{one.folder}, blank images" if one.complete else one.folder
    return f"| `{setting(one)}` | {name} | {licences} | {cells} | {seconds:.2f} | {rate:.0f} |"


def setting(one: RealSet) -> str:
    """Return what is to be written after `reader:` in params.yaml."""
    options = ", ".join(f"{key}: {value}" for key, value in one.options.items())
    return f"{{name: {one.kind}, options: {{{options}}}}}"


def main() -> None:
    """Print the table."""
    assets = Path(os.environ.get("MASKSPACE_ASSETS", "../shared/assets"))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPU cores, one process, "
        f"Python {sys.version.split()[0]}\n"
    )
    print(HEADER)
    for one in SETS:
        if not (assets / one.folder).is_dir():
            print(f"| `{one.kind}` | {one.folder}: missing | | | | | | | | |")
            continue
        with tempfile.TemporaryDirectory() as folder:
            print(measured(one, assets, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
