"""The loader against what the machine can do at most, and against what people write by hand.

    python -m benchmarks.loader

The photos are BSDS500's, repeated into shards with the masks of their first annotator. The limit
reads shards in order and decodes their JPEGs with the fastest decoder that is installed: once as a
tar is read, with tarfile, and once from places that are known beforehand, the bare bytes and no
record, which is less work than any loader has. All contestants take turns in one run, a slice of
samples each, since other work on the machine comes and goes; the ratios are medians over the turns.
CPU seconds are those of all processes of a contestant: its speed if it had its cores alone.
Then the memory over 20 000 samples, and run lengths to dense masks against pycocotools.
"""

import multiprocessing
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import torch
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from maskspace.data import READERS
from maskspace.data.annotations import annotate
from maskspace.data.batches import Plan, Turn
from maskspace.data.loader import load_dense, open_mixture
from maskspace.data.manifest import write_manifest
from maskspace.data.records import sample_places
from maskspace.data.shards import write_shard
from maskspace.data.stream import Loader
from maskspace.jpeg import decode_jpeg
from maskspace.masks import decode
from maskspace.types import Sample, read_rgb

SAMPLES, PER_SHARD, BATCH = 3000, 250, 16
SLICE, TURNS = 320, 7
TWO = "limit, two processes"


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    assets = Path(os.environ.get("MASKSPACE_ASSETS", "../shared/assets"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = read_photos(assets)
        write_photos(folder, photos)
        compare(folder)
        show_memory(folder)
    show_run_lengths(assets)


def read_photos(assets: Path) -> list[Sample]:
    """Return the photos with the masks of their first annotator, which have no parents."""
    source = READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=None)
    return [
        replace(
            sample,
            annotations=tuple(
                replace(one, parent=None) for one in sample.annotations if one.layer == 0
            ),
        )
        for sample in source
    ]


def write_photos(folder: Path, photos: list[Sample]) -> None:
    """Write the shards `photos/` and the folder of files `files/`."""
    (folder / "photos").mkdir()
    (folder / "files").mkdir()
    facts = []
    for shard in range(SAMPLES // PER_SHARD):
        numbers = range(shard * PER_SHARD, (shard + 1) * PER_SHARD)
        samples = [replace(photos[i % len(photos)], key=f"photo-{i:06d}") for i in numbers]
        facts.append(write_shard(folder / "photos" / f"train-{shard:06d}.tar", samples))
        for sample in samples:
            (folder / "files" / f"{sample.key}.jpg").write_bytes(sample.image)
    write_manifest(folder / "photos", facts, dataset="photos", details={})
    masks = sum(len(photo.annotations) for photo in photos) / len(photos)
    print(f"{SAMPLES} photos of 481 x 321 pixels, {masks:.0f} masks each, in {len(facts)} shards\n")


def limit_by_tarfile(folder: Path) -> Iterator[object]:
    """Yield decoded photos: the members of the shards in order."""
    while True:
        for shard in sorted((folder / "photos").glob("*.tar")):
            with tarfile.open(shard, "r|") as archive:
                for member in archive:
                    content = archive.extractfile(member)
                    if content is not None and member.name.endswith(".jpg"):
                        yield decode_jpeg(content.read())


def limit(folder: Path) -> Iterator[object]:
    """Yield decoded photos: whole shards in order, nothing but the JPEGs."""
    shards = sorted((folder / "photos").glob("*.tar"))
    places = {shard: [image for image, _ in sample_places(shard) if image] for shard in shards}
    while True:
        for shard, images in places.items():
            content = shard.read_bytes()
            for one in images:
                yield decode_jpeg(content[one.offset : one.offset + one.size])


def limit_with_masks(folder: Path) -> Iterator[object]:
    """Yield decoded photos with their dense masks by pycocotools, from records in memory."""
    shards = open_mixture(folder, {"photos": 1.0}, "train").datasets["photos"]
    strings = [coded(sample) for sample in shards]
    for index, image in enumerate(limit(folder)):
        yield image, coco_dense(strings[index % len(strings)])


def files_by_pil(folder: Path) -> Iterator[object]:
    """Yield photos from a folder of files, shuffled, by PIL."""
    paths = sorted((folder / "files").iterdir())
    generator = np.random.default_rng(0)
    while True:
        for index in generator.permutation(len(paths)):
            with Image.open(paths[index]) as image:
                yield np.asarray(image.convert("RGB"))


def load_image(sample: Sample, turn: Turn) -> tuple[np.ndarray, Sample]:
    """Return the photo and its record with the masks as run lengths."""
    return read_rgb(sample.image), replace(sample, image=b"")


def loaded(
    folder: Path,
    load: Callable[[Sample, Turn], object],
    *,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[object]:
    """Yield the loader's items."""
    mixture = open_mixture(folder, {"photos": 1.0}, "train")
    order = mixture.order(seed=0)
    plan = Plan(length=order.length, batch=BATCH * world, rank=rank, world=world)
    loader = Loader(mixture.datasets, load, order=order, plan=plan, workers=workers)
    while True:
        for batch in loader:
            yield from batch.items


class Contestant:
    """Processes that read when told to: each its own iterator, all at the same time."""

    def __init__(self, makers: list[Callable[[], Iterator[object]]]) -> None:
        context = multiprocessing.get_context("fork")
        self._ends: list[Connection] = []
        self._processes = []
        for maker in makers:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, maker), daemon=False)
            process.start()
            self._ends.append(ours)
            self._processes.append(process)

    def read(self, samples: int) -> tuple[float, float]:
        """Return the samples a second and the CPU seconds a sample, over all processes."""
        share = samples // len(self._ends)
        for end in self._ends:
            end.send(share)
        found = [end.recv() for end in self._ends]
        return samples / max(wall for wall, _ in found), sum(cpu for _, cpu in found) / samples

    def stop(self) -> None:
        """End the processes."""
        for end in self._ends:
            end.send(0)
        for process in self._processes:
            process.join()


def _serve(end: Connection, maker: Callable[[], Iterator[object]]) -> None:
    items = maker()
    own = psutil.Process()
    while share := end.recv():
        for _ in range(8 * BATCH):  # start, and empty what workers have prepared meanwhile
            next(items)
        begin, cpu = time.perf_counter(), cpu_seconds(own)
        for _ in range(share):
            next(items)
        end.send((time.perf_counter() - begin, cpu_seconds(own) - cpu))
        time.sleep(0.05)  # workers fill their queues before others are timed
    items.close()  # pyright: ignore[reportAttributeAccessIssue]


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of this process and its children, those that have ended too."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = [child.cpu_times() for child in process.children()]
    children = sum(one.user + one.system for one in alive) + ended.ru_utime + ended.ru_stime
    return time.process_time() + children


def compare(folder: Path) -> None:
    """Print the samples a second of all contestants and their ratios to the limits."""
    makers: dict[str, list[Callable[[], Iterator[object]]]] = {
        "limit": [lambda: limit(folder)],
        "limit, tarfile": [lambda: limit_by_tarfile(folder)],
        "limit, tarfile, two": [lambda: limit_by_tarfile(folder)] * 2,
        TWO: [lambda: limit(folder)] * 2,
        "limit with masks": [lambda: limit_with_masks(folder)],
        "files by PIL": [lambda: files_by_pil(folder)],
        "loader": [lambda: loaded(folder, load_image)],
        "loader, dense masks": [lambda: loaded(folder, load_dense)],
        "loader, two ranks": [
            lambda rank=rank: loaded(folder, load_image, rank=rank, world=2) for rank in range(2)
        ],
        "loader, two workers": [lambda: loaded(folder, load_image, workers=2)],
    }
    contestants = {name: Contestant(made) for name, made in makers.items()}
    speeds: dict[str, list[float]] = {name: [] for name in makers}
    cpus: dict[str, list[float]] = {name: [] for name in makers}
    for _ in range(TURNS):
        for name, contestant in contestants.items():
            speed, cpu = contestant.read(SLICE)
            speeds[name].append(speed)
            cpus[name].append(cpu)
    for contestant in contestants.values():
        contestant.stop()
    print_speeds(speeds, cpus)


def print_speeds(speeds: dict[str, list[float]], cpus: dict[str, list[float]]) -> None:
    """Print a line for each contestant, and the ratios that are goals."""
    print("contestant               samples/s  CPU ms a sample  over limit  by CPU time")
    for name in speeds:
        ratio, by_cpu = over(speeds[name], speeds["limit"]), over(cpus["limit"], cpus[name])
        print(
            f"{name:24} {median(speeds[name]):9.0f} {1e3 * median(cpus[name]):16.2f} "
            f"{ratio:11.2f} {by_cpu:12.2f}"
        )
    print("\ngoal                                     over tarfile  by CPU time  over known places")
    goals = (
        ("one process, at least 0.90", "loader", "limit, tarfile", "limit"),
        ("two ranks, at least 0.85", "loader, two ranks", "limit, tarfile, two", TWO),
        ("two workers, at least 0.85", "loader, two workers", "limit, tarfile, two", TWO),
    )
    for goal, name, by_tarfile, known in goals:
        by_cpu = over(cpus[by_tarfile], cpus[name])
        ratios = over(speeds[name], speeds[by_tarfile]), over(speeds[name], speeds[known])
        print(f"{goal:40} {ratios[0]:12.2f} {by_cpu:12.2f} {ratios[1]:18.2f}")
    by_hand = over(speeds["loader"], speeds["files by PIL"])
    masked = over(speeds["loader, dense masks"], speeds["limit with masks"])
    print(f"over files by PIL, at least 1.0          {by_hand:12.2f}")
    print(f"with dense masks, over pycocotools'      {masked:12.2f}\n")


def over(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the ratios of turns that followed each other."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def show_memory(folder: Path) -> None:
    """Print the resident memory of the loader over 20 000 samples with dense masks."""
    own = psutil.Process()
    seen = []
    for number, _ in enumerate(loaded(folder, load_dense), start=1):
        if number % 1000 == 0:
            seen.append(own.memory_info().rss / 1e6)
        if number == 20_000:
            break
    first = seen[1]
    print(
        f"resident MB after 2000 samples {first:.0f}; up to 20 000: {min(seen[1:]) - first:+.0f} "
        f"to {max(seen[1:]) - first:+.0f}  (goal -50 to +50)\n"
    )


def show_run_lengths(assets: Path) -> None:
    """Print the milliseconds of dense masks by pycocotools and by us, for kinds of images."""
    bsds = list(READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=20))
    large = [resized(sample, (1500, 2250)) for sample in bsds[:4]]
    small = [resized(largest(sample, 8), (64, 64)) for sample in bsds]
    single = [replace(one, annotations=one.annotations[:1]) for one in bsds]
    first = [
        replace(one, annotations=tuple(a for a in one.annotations if a.layer == 0)) for one in bsds
    ]
    sets = {
        "one mask, 64 x 64": [replace(one, annotations=one.annotations[:1]) for one in small],
        "at most eight, 64 x 64": small,
        "one mask, 481 x 321": single,
        "one mask, 2250 x 1500": [replace(x, annotations=x.annotations[:1]) for x in large],
        "one annotator, 481 x 321": first,
        "all annotators, 481 x 321": bsds,
        "all annotators, 2250 x 1500": large,
        "specks over 481 x 321": [specks((321, 481), number=4)],
    }
    print("run lengths to dense         masks  pycocotools ms  ours ms  pycocotools/ours")
    for name, samples in sets.items():
        theirs, ours, number = [], [], 0
        for sample in samples:
            counts, objects = [one.counts for one in sample.annotations], coded(sample)
            number += len(counts)
            theirs.append(quickest(lambda objects=objects: coco_dense(objects)))
            ours.append(quickest(lambda c=counts, s=sample.size_hw: decode(c, s)))
        ratio = median(a / b for a, b in zip(theirs, ours, strict=True))
        print(
            f"{name:28} {number / len(samples):5.0f} {1e3 * sum(theirs) / len(samples):15.3f} "
            f"{1e3 * sum(ours) / len(samples):8.3f} {ratio:17.2f}"
        )


def resized(sample: Sample, size_hw: tuple[int, int]) -> Sample:
    """Return the sample's masks at another size, by nearest neighbour, without those it empties."""
    masks = decode([one.counts for one in sample.annotations], sample.size_hw)
    size = (size_hw[1], size_hw[0])
    nearest = Image.Resampling.NEAREST
    stack = np.stack([np.asarray(Image.fromarray(mask).resize(size, nearest)) for mask in masks])
    return replace(
        sample, size_hw=size_hw, annotations=annotate(stack[stack.any(axis=2).any(axis=1)])
    )


def largest(sample: Sample, number: int) -> Sample:
    """Return the sample with its largest masks alone."""
    kept = sorted(sample.annotations, key=lambda one: one.area)[-number:]
    return replace(sample, annotations=tuple(replace(one, parent=None) for one in kept))


def specks(size_hw: tuple[int, int], *, number: int) -> Sample:
    """Return masks of many small specks all over an image: the most runs that one may meet."""
    noise = np.random.default_rng(0).standard_normal((number, *size_hw))
    masks = ndimage.gaussian_filter(noise, (0, 2, 2)) > 0.1
    return Sample(
        key="specks",
        dataset="benchmark",
        image=b"",
        extension="png",
        size_hw=size_hw,
        annotations=annotate(masks),
    )


def coded(sample: Sample) -> list[dict[str, object]]:
    """Return COCO's objects of the masks."""
    size = list(sample.size_hw)
    return [{"size": size, "counts": one.counts.encode()} for one in sample.annotations]


def coco_dense(objects: list[dict[str, object]]) -> np.ndarray:
    """Return n h w masks by pycocotools."""
    decoded = coco.decode(objects)  # pyright: ignore[reportArgumentType]
    return np.ascontiguousarray(decoded.transpose(2, 0, 1)).view(bool)


def quickest(action: Callable[[], object]) -> float:
    """Return the least seconds of a few runs."""
    times = []
    for _ in range(9):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)


if __name__ == "__main__":
    main()
