"""Run lengths to dense masks, against pycocotools, for kinds of images.

    python -m benchmarks.run_lengths

Least milliseconds of nine runs an image; ratios are medians over the images.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from scipy import ndimage

from maskspace.data import READERS
from maskspace.data.annotations import annotate
from maskspace.masks import decode
from maskspace.types import Sample


def main() -> None:
    """Print the table."""
    show_run_lengths(Path(os.environ.get("MASKSPACE_ASSETS", "../shared/assets")))


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
    return replace(sample, size_hw=size_hw, annotations=annotate(stack[stack.any(axis=(1, 2))]))


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
