"""Mask NMS against pycocotools (encode, IoU of run lengths, greedy pass), in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.nms [--masks 1000 --superpixels 2000 --size 256]
    OMP_NUM_THREADS=1 python -m benchmarks.nms --device cuda [--overlap 0.7 --turns 5]

Masks are unions of superpixels, as those of a grid of clicks are: discs of all sizes, rounded to
the superpixels that they cover by more than half. Prints the median milliseconds of each and how
many times those of pycocotools are ours: from the table of superpixels, and from the dense masks.
One thread, and all take turns. Ends with an error where the kept are not those of pycocotools' IoU.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from pycocotools import mask as coco

from maskspace.partition.nms import iou_nms, mask_nms, union_nms
from maskspace.partition.superpixels import superpixels


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nms", description=__doc__)
    parser.add_argument("--masks", type=int, default=1000)
    parser.add_argument("--superpixels", type=int, default=2000)
    parser.add_argument("--size", type=int, default=256, help="side in pixels of the image")
    parser.add_argument("--overlap", type=float, default=0.7)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    show(options)


def show(options: argparse.Namespace) -> None:
    """Print what each way takes."""
    covered, areas, masks = draw(options.masks, options.superpixels, options.size)
    scores = np.random.default_rng(1).random(len(masks))
    overlap = options.overlap
    if options.device == "cuda":
        table, weights, dense = (torch.from_numpy(each).cuda() for each in (covered, areas, masks))
    else:
        table, weights, dense = covered, areas, masks
    ours = {
        "superpixels": lambda: union_nms(table, weights, scores, overlap=overlap),
        "dense": lambda: mask_nms(dense, scores, overlap=overlap),
    }
    ways = ours | {"pycocotools": lambda: with_pycocotools(masks, scores, overlap)}
    kept = {name: way() for name, way in ways.items()}  # a first call chooses a GPU's kernels
    turns = [{name: seconds(way) for name, way in ways.items()} for _ in range(options.turns)]
    print(f"{len(masks)} masks, {len(areas)} superpixels, {masks.shape[1]} x {masks.shape[2]}")
    print(f"{len(kept['pycocotools'])} kept at {overlap}, on {options.device}")
    print("way           median ms  pycocotools/way")
    for name in ways:
        milliseconds = 1e3 * median(turn[name] for turn in turns)
        times = median(turn["pycocotools"] / turn[name] for turn in turns)
        print(f"{name:12} {milliseconds:10.2f} {times:16.1f}")
    for name, indices in kept.items():
        if indices.tolist() != kept["pycocotools"].tolist():
            raise SystemExit(f"{name} keeps {len(indices)} masks, and not those of pycocotools")


def draw(
    count: int, regions: int, size: int
) -> tuple[Bool[np.ndarray, "n s"], Int64[np.ndarray, " s"], Bool[np.ndarray, "n h w"]]:
    """Return the superpixels that masks cover, the superpixels' areas, and the masks."""
    rng = np.random.default_rng(0)
    labels = superpixels(rng.random((3, size, size), np.float32), regions=regions) - 1
    areas = np.bincount(labels.ravel())
    y, x = np.mgrid[:size, :size]
    covered = np.zeros((count, len(areas)), bool)
    for row in covered:
        radius = size / 2 * rng.random() ** 2 + size / 16
        inside = (y - rng.integers(size)) ** 2 + (x - rng.integers(size)) ** 2 < radius**2
        row[:] = 2 * np.bincount(labels[inside], minlength=len(areas)) > areas
    return covered, areas, np.ascontiguousarray(covered[:, labels])


def with_pycocotools(
    masks: Bool[np.ndarray, "n h w"], scores: Float64[np.ndarray, " n"], overlap: float
) -> Int64[np.ndarray, " m"]:
    """Return the indices kept by the IoU of encoded masks."""
    stack = np.asfortranarray(masks.transpose(1, 2, 0).view(np.uint8))
    encoded = coco.encode(stack)
    iou = np.asarray(coco.iou(encoded, encoded, [0] * len(encoded)))
    return iou_nms(iou, scores, overlap=overlap)


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes; its answer is on the CPU, so a GPU has then ended too."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
