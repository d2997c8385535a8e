"""Covering of BSDS500 by classical methods, at one scale for all images, one an image, and best.

    python -m benchmarks.bsds500_regions BSDS500 --ucm UCM2 [--split val] [--limit N] [--model NAME]

Arbelaez et al. 2011 (doi:10.1109/TPAMI.2010.161), as the authors' code pools it: every true region
of every annotator has the best IoU of a predicted one, weighted by its area. ODS takes the scale
that is best for the data set, OIS that of each image, Best that of each true region. Scales are k
of Felzenszwalb's method, the 99 thresholds of the authors for their own files, and numbers of
regions for other trees. Published on the 200 test images, which are not those of val:
Felzenszwalb 0.52 0.57 0.69, gPb-OWT-UCM 0.588 0.647 0.744.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int, Int64, UInt8
from skimage.segmentation import felzenszwalb

from maskspace.data.readers.bsds500 import annotator_label_maps
from maskspace.partition.merge_tree import MergeTree
from maskspace.segmenter import load
from maskspace.types import read_rgb

PUBLISHED = {"felzenszwalb": "0.52 0.57 0.69", "gpb-owt-ucm": "0.588 0.647 0.744"}
THRESHOLDS = np.arange(1, 100) / 100
FELZENSZWALB_SCALES = (25, 50, 100, 200, 300, 400, 600, 800, 1200, 1600, 2400, 4800)
NUMBERS = np.unique(np.geomspace(1, 300, 40).round().astype(int))


def scores(overlaps: list[Float64[np.ndarray, "s n"]], areas: list[Int64[np.ndarray, " n"]]) -> str:
    """Return ODS, OIS and Best of images, each with IoUs by scale and true region, and areas."""
    covered = np.array([best @ area for best, area in zip(overlaps, areas, strict=True)])
    best = sum(float(o.max(axis=0) @ a) for o, a in zip(overlaps, areas, strict=True))
    total = sum(int(area.sum()) for area in areas)
    ods, ois = covered.sum(axis=0).max(), covered.max(axis=1).sum()
    return " ".join(f"{value / total:.4f}" for value in (ods, ois, best))


def best_overlaps(
    shared: Int64[np.ndarray, "k n"], regions: Int[np.ndarray, " k"]
) -> Float64[np.ndarray, " n"]:
    """Return the best IoU of each true region, `regions` of pieces that share pixels with them."""
    table = np.zeros((regions.max() + 1, shared.shape[1]), np.int64)
    np.add.at(table, regions, shared)
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    return (table / np.maximum(union, 1)).max(axis=0)


def shared_pixels(
    pieces: Int[np.ndarray, "h w"], true: list[Int64[np.ndarray, "h w"]]
) -> list[Int64[np.ndarray, "k n"]]:
    """Return for each annotator the pixels that pieces from 0 and true regions share."""
    tables = []
    for labels in true:
        _, column = np.unique(labels, return_inverse=True)
        width = int(column.max()) + 1
        cell = pieces.ravel().astype(np.int64) * width + column.ravel()
        counted = np.bincount(cell, minlength=(int(pieces.max()) + 1) * width)
        tables.append(counted.reshape(-1, width))
    return tables


def tree_overlaps(
    tree: MergeTree, true: list[Int64[np.ndarray, "h w"]], *, by_height: bool
) -> Float64[np.ndarray, "s n"]:
    """Return the IoU of each true region by scale; pixels are counted once, for superpixels."""
    superpixels = tree.partition(tree.max_regions) - 1
    shared = shared_pixels(superpixels, true)
    _, first = np.unique(superpixels, return_index=True)
    if by_height:
        maps: Iterator[np.ndarray] = (tree.cut(height) for height in THRESHOLDS)
    else:
        maps = (tree.partition(min(int(number), tree.max_regions)) for number in NUMBERS)
    rows = []
    for labels in maps:
        regions = labels.ravel()[first] - 1
        rows.append(np.concatenate([best_overlaps(table, regions) for table in shared]))
    return np.array(rows)


def felzenszwalb_overlaps(
    image: UInt8[np.ndarray, "h w 3"], true: list[Int64[np.ndarray, "h w"]]
) -> Float64[np.ndarray, "s n"]:
    """Return the IoU of each true region by scale k."""
    rows = []
    for scale in FELZENSZWALB_SCALES:
        labels = felzenszwalb(image, scale=scale, sigma=0.8, min_size=20)
        tables = shared_pixels(labels, true)
        every = np.arange(int(labels.max()) + 1)
        rows.append(np.concatenate([best_overlaps(table, every) for table in tables]))
    return np.array(rows)


def main() -> None:
    """Print a line a method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("root", type=Path, help="folder of BSDS500, with SPLIT/images")
    parser.add_argument("--ucm", type=Path, help="folder of the authors' ID.mat of this split")
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--model", action="append", help="default felzenszwalb and gpb-owt-ucm")
    options = parser.parse_args()
    folder = options.root / options.split / "images"
    paths = sorted(folder.glob("*.jpg"))[: options.limit]
    files = f"gpb-owt-ucm@folder={options.ucm},images={folder}"
    for name in options.model or ["felzenszwalb", *(["gpb-owt-ucm"] if options.ucm else [])]:
        model = load(files if name == "gpb-owt-ucm" else name)
        overlaps, areas, seconds = [], [], 0.0
        for path in paths:
            image = read_rgb(str(path))
            maps = annotator_label_maps(path, (image.shape[0], image.shape[1]))
            true = list(maps.values())
            areas.append(np.concatenate([np.unique(t, return_counts=True)[1] for t in true]))
            start = time.perf_counter()
            if name == "felzenszwalb":
                overlaps.append(felzenszwalb_overlaps(image, true))
            else:
                tree = model.hierarchy(image)
                overlaps.append(tree_overlaps(tree, true, by_height=name == "gpb-owt-ucm"))
            seconds += time.perf_counter() - start
        figures = scores(overlaps, areas)
        published = PUBLISHED.get(name, "-")
        print(
            f"{name}: {len(paths)} images of {options.split}: covering ODS OIS Best {figures}; "
            f"published (test) {published}; {seconds / len(paths):.2f} s an image",
            flush=True,
        )


if __name__ == "__main__":
    main()
