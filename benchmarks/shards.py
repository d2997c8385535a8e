"""Writing shards against tarfile writing the same bytes, in the same run.

    python -m benchmarks.shards

Both write a file that appears by a rename after an fsync. Tarfile is handed the finished members;
ours also makes the records, hashes every image and the shard, counts the masks and writes the
sidecar. Prints MB/s of each (the median of alternating runs) and their ratio, then the MB/s of
reading the shards back, in order and at random.
"""

import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import skimage.data
from PIL import Image

from maskspace.data.annotations import annotate
from maskspace.data.manifest import write_manifest
from maskspace.data.open_shards import open_shards
from maskspace.data.shards import write_shard
from maskspace.masks import from_label_map
from maskspace.types import Sample

REPEATS = 7
SAMPLES = 256


def main() -> None:
    """Print the table."""
    print("side  masks  MB      ours MB/s  tarfile MB/s  ratio  in order MB/s  random MB/s")
    for side, across in ((512, 4), (1024, 8), (2048, 10)):
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), made_samples(side, across))


def made_samples(side: int, across: int) -> list[Sample]:
    """Return photos of `side` pixels in JPEG, each with a grid of round masks."""
    photo = Image.fromarray(skimage.data.astronaut()).resize((side, side))
    rows, columns = np.mgrid[:side, :side] * across / side
    number = np.floor(rows) * across + np.floor(columns) + 1
    inside = (rows % 1 - 0.5) ** 2 + (columns % 1 - 0.5) ** 2 < 0.2
    _, masks = from_label_map(np.where(inside, number, 0).astype(np.int64))
    annotations = annotate(masks)
    samples = []
    for index in range(SAMPLES):
        encoded = io.BytesIO()
        if index < 8:
            photo.rotate(index).save(encoded, "JPEG", quality=90)
        samples.append(
            Sample(
                key=f"photo-{index:06d}",
                dataset="benchmark",
                image=encoded.getvalue() or samples[index % 8].image,
                extension="jpg",
                size_hw=(side, side),
                annotations=annotations,
            )
        )
    return samples


def measure(folder: Path, samples: list[Sample]) -> None:
    """Print a line."""
    shard, plain = folder / "train-000000.tar", folder / "plain.tar"
    facts = write_shard(shard, samples)
    with tarfile.open(shard) as archive:
        members = [(m.name, archive.extractfile(m).read()) for m in archive]  # pyright: ignore[reportOptionalMemberAccess]
    ours, theirs = [], []
    for _ in range(REPEATS):
        ours.append(seconds(lambda: write_shard(shard, samples)))
        theirs.append(seconds(lambda: write_plain(plain, members)))
    assert facts.bytes == plain.stat().st_size
    write_manifest(folder, [facts], dataset="benchmark", details={})
    in_order = [seconds(lambda: sum(1 for _ in open_shards(folder, "train"))) for _ in range(3)]
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    opened = open_shards(folder, "train")
    random = [seconds(lambda: [opened[i] for i in order]) for _ in range(3)]
    speed, plain_speed, *reading = (
        facts.bytes / 1e6 / median(times) for times in (ours, theirs, in_order, random)
    )
    print(
        f"{samples[0].size_hw[0]:4}  {len(samples[0].annotations):5}  {facts.bytes / 1e6:6.1f}"
        f"  {speed:9.0f}  {plain_speed:12.0f}  {speed / plain_speed:5.2f}"
        f"  {reading[0]:13.0f}  {reading[1]:11.0f}"
    )


def write_plain(path: Path, members: list[tuple[str, bytes]]) -> None:
    """Write a tar with tarfile alone, as safely as ours."""
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, content in members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
