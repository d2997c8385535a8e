"""A large photo in tiles against the same photo seen whole: equality, seams, time and memory.

    python -m benchmarks.tiles PHOTO [PHOTO ...] --out DIR [--side 1024] [--megapixels 12]

One photo is enlarged to so many megapixels (bicubic); several are put side by side on one sheet,
each at its own pixels, cut to one size. Each way runs in a process of its own, whose largest
resident memory is told. DIR gets the photo, both boundary maps and where they differ.
"""

import argparse
import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

REGIONS = (24, 100, 500)


@dataclass(frozen=True)
class Seen:
    """What one way answered, and what it took."""

    partitions: dict[int, np.ndarray]
    boundary: np.ndarray
    network_seconds: float
    tree_seconds: float
    gigabytes: float
    superpixels: int


def large_photo(paths: list[Path], *, megapixels: float) -> np.ndarray:
    """Return one photo enlarged, or a sheet of several."""
    photos = [Image.open(path).convert("RGB") for path in paths]
    if len(photos) == 1:
        scale = (megapixels * 1e6 / (photos[0].width * photos[0].height)) ** 0.5
        size = round(photos[0].width * scale), round(photos[0].height * scale)
        return np.asarray(photos[0].resize(size, Image.Resampling.BICUBIC))
    width, height = min(one.width for one in photos), min(one.height for one in photos)
    columns = max(1, round((megapixels * 1e6 * height / width) ** 0.5 / height))
    rows = max(1, round(megapixels * 1e6 / (columns * width * height)))
    cut = [np.asarray(one.crop((0, 0, width, height))) for one in photos]
    cells = [cut[number % len(cut)] for number in range(rows * columns)]
    return np.concatenate(
        [np.concatenate(cells[row * columns : (row + 1) * columns], 1) for row in range(rows)]
    )


def seen(
    image: np.ndarray, model_name: str, side: int | None, halo: int, numbers: tuple[int, ...]
) -> Seen:
    """Return what a model answers on the image at its own size; side None: seen whole."""
    import maskspace
    from maskspace.partition.border_tree import merge_outputs
    from maskspace.segmenter.border import BorderSegmenter
    from maskspace.segmenter.tiles import Tiles

    model = cast("BorderSegmenter", maskspace.load(model_name))
    tiles = None if side is None else Tiles(side=side, halo=halo)
    model = replace(model, max_side=max(image.shape[:2]), tiles=tiles)
    began = time.perf_counter()
    outputs = model._outputs(image)
    looked = time.perf_counter()
    tree = merge_outputs(outputs, model.rule).tree(model.rule)
    ended = time.perf_counter()
    return Seen(
        {number: tree.partition(number) for number in numbers},
        outputs["boundary"][0].float().sigmoid().numpy().astype(np.float16),
        looked - began,
        ended - looked,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        tree.max_regions,
    )


def in_own_process(*arguments: object) -> Seen:
    """Return `seen` of the arguments, by a process that has done nothing else."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(seen, *arguments).result()


def main() -> None:
    """Measure, print a table, write the pictures."""
    from sklearn.metrics import adjusted_rand_score

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--model", default="student")
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--halo", type=int, default=256)
    parser.add_argument("--megapixels", type=float, default=12.0)
    parser.add_argument("--tiled-only", action="store_true", help="memory and time alone")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    image = large_photo(options.photos, megapixels=options.megapixels)
    print(f"{image.shape[1]} x {image.shape[0]}, {image.shape[0] * image.shape[1] / 1e6:.1f} MP")
    numbers = REGIONS[:1] if options.tiled_only else REGIONS
    tiled = in_own_process(image, options.model, options.side, options.halo, numbers)
    ways = {"tiled": tiled}
    if not options.tiled_only:
        ways["whole"] = in_own_process(image, options.model, None, 0, numbers)
    for name, one in ways.items():
        print(
            f"{name}: network {one.network_seconds:.1f} s, tree {one.tree_seconds:.1f} s, "
            f"{one.superpixels} superpixels, peak {one.gigabytes:.2f} GiB"
        )
    if options.tiled_only:
        return
    whole = ways["whole"]
    for number in REGIONS:
        same = adjusted_rand_score(
            whole.partitions[number].ravel(), tiled.partitions[number].ravel()
        )
        print(f"{number} regions: adjusted Rand index {same:.5f}")
    apart = np.abs(whole.boundary.astype(np.float32) - tiled.boundary.astype(np.float32))
    print(f"boundary map: mean difference {apart.mean():.2e}, largest {apart.max():.3f}")
    lines = np.zeros(apart.shape, bool)  # beside the seams
    for begin in range(options.side, max(apart.shape), options.side):
        lines[max(0, begin - 8) : begin + 8] = True
        lines[:, max(0, begin - 8) : begin + 8] = True
    print(
        f"within 8 pixels of a seam {apart[lines].mean():.2e}, elsewhere {apart[~lines].mean():.2e}"
    )
    Image.fromarray(image).save(options.out / "photo.jpg", quality=85)
    for name, values in (("whole", whole.boundary), ("tiled", tiled.boundary)):
        shown = np.round(values.astype(np.float32) * 255).astype(np.uint8)
        Image.fromarray(shown).reduce(4).save(options.out / f"{name}.png")
    Image.fromarray(np.round(np.clip(apart * 10, 0, 1) * 255).astype(np.uint8)).reduce(2).save(
        options.out / "difference_x10.png"
    )


if __name__ == "__main__":
    main()
