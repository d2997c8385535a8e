"""Writing shards against tarfile writing the same bytes, in the same run.

    python -m benchmarks.shards

Both write a file that appears by a rename after an fsync. Tarfile is handed the finished members;
ours also makes the records, hashes every image and the shard, counts the masks and writes the
sidecar. Prints MB/s of each (the median of alternating runs) and their ratio; of the CPU
milliseconds of ours and of tarfile, those that alone the records with the hashes of their images,
the hash of the shard and the counts take; then the MB/s of reading the shards back, in order and at
random.
"""

import hashlib
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
from maskspace.data.counts import Counts, Tally
from maskspace.data.manifest import write_manifest
from maskspace.data.open_shards import open_shards
from maskspace.data.records import encode_record
from maskspace.data.shards import write_shard
from maskspace.masks import from_label_map
from maskspace.types import Sample

REPEATS = 7
SAMPLES = 256


def main() -> None:
    """Print the table."""
    print(
        "side  masks  MB      ours MB/s  tarfile MB/s  ratio"
        "  CPU ms: ours  tarfile  records     hash   counts  in order MB/s  random MB/s"
    )
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
    content = shard.read_bytes()
    actions: dict[str, Callable[[], object]] = {
        "ours": lambda: write_shard(shard, samples),
        "tarfile": lambda: write_plain(plain, members),
        "records": lambda: [encode_record(sample) for sample in samples],
        "hash": lambda: hashlib.sha256(content),
        "counts": lambda: counted(samples),
    }
    walls: dict[str, list[float]] = {name: [] for name in actions}
    cpus: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(REPEATS):
        for name, action in actions.items():
            wall, cpu = seconds(action)
            walls[name].append(wall)
            cpus[name].append(cpu)
    assert facts.bytes == plain.stat().st_size
    write_manifest(folder, [facts], dataset="benchmark", details={})
    order = np.random.default_rng(0).permutation(len(samples)).tolist()
    opened = open_shards(folder, "train")
    in_order = [seconds(lambda: sum(1 for _ in open_shards(folder, "train")))[0] for _ in range(3)]
    random = [seconds(lambda: [opened[i] for i in order])[0] for _ in range(3)]
    megabytes = facts.bytes / 1e6
    ratio = median(b / a for a, b in zip(walls["ours"], walls["tarfile"], strict=True))
    spent = "".join(f"  {1e3 * median(cpus[name]):7.0f}" for name in actions)
    print(
        f"{samples[0].size_hw[0]:4}  {len(samples[0].annotations):5}  {megabytes:6.1f}"
        f"  {megabytes / median(walls['ours']):9.0f}  {megabytes / median(walls['tarfile']):12.0f}"
        f"  {ratio:5.2f}    {spent}"
        f"  {megabytes / median(in_order):11.0f}  {megabytes / median(random):11.0f}",
        flush=True,
    )


def counted(samples: list[Sample]) -> Counts:
    """Return what writing counts on the way."""
    tally = Tally()
    for sample in samples:
        tally.add(sample)
    return tally.counts()


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


def seconds(action: Callable[[], object]) -> tuple[float, float]:
    """Return how long an action takes, and of how much CPU."""
    start, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - start, time.process_time() - cpu


if __name__ == "__main__":
    main()
