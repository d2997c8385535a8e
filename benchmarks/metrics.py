"""IoU tables of many proposals with many truths, against pycocotools, in the same run.

    python -m benchmarks.metrics [PROPOSALS TRUTHS SIDE]

Proposals are smooth blobs from 1/40 of the side to all of it, as many at each scale; truths are
disjoint, nest, or are blobs that cross at random, which no data set's do: the hardest. Dense: ours
from bool arrays; pycocotools transposes, encodes and compares. Strings: both from COCO's run
lengths; ours parses them, pycocotools takes them as they are. Prints medians in seconds of
processor time on one thread (set OMP_NUM_THREADS=1), the goal beside each ratio, and stops if a
table differs from theirs.
"""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from jaxtyping import Bool, Float64
from pycocotools import mask as coco
from scipy import ndimage

from maskspace import masks
from maskspace.masks.iou_table import iou_table, iou_table_of_strings

PROPOSALS, TRUTHS, SIDE = 1000, 100, 1024
REPEATS = 3
GOALS = {"dense": 10.0, "strings": 1.0}


def blobs(generator: np.random.Generator, number: int, side: int) -> Bool[np.ndarray, "n h w"]:
    """Return one smooth, ragged blob a mask."""
    stack = np.zeros((number, side, side), bool)
    for mask in stack:
        size = int(side * np.exp(generator.uniform(np.log(1 / 40), 0)))
        rough = ndimage.zoom(generator.standard_normal((12, 12)), size / 12, order=3)
        axis = np.linspace(-1, 1, len(rough))
        blob = 0.4 * rough + 0.9 > np.hypot(axis[:, None], axis)
        y, x = generator.integers(0, side - len(blob) + 1, 2)
        mask[y : y + len(blob), x : x + len(blob)] = blob
    return stack


def nested(generator: np.random.Generator, number: int, side: int) -> Bool[np.ndarray, "n h w"]:
    """Return the pieces of a field of hills above several levels: as objects and their parts."""
    field = ndimage.zoom(generator.standard_normal((side // 32, side // 32)), 32, order=3)
    pieces = []
    for level in np.quantile(field, np.linspace(0.15, 0.95, 9)):
        labels, _ = ndimage.label(field > level)
        areas = np.bincount(labels.ravel())
        pieces += [labels == label for label in np.flatnonzero(areas >= 256) if label]
    order = generator.permutation(len(pieces))[:number]
    return np.stack([pieces[index] for index in order])


def disjoint(stack: Bool[np.ndarray, "n h w"]) -> Bool[np.ndarray, "n h w"]:
    """Return the masks without what smaller ones cover, those that are left."""
    labels = masks.to_label_map(stack)
    return masks.from_label_map(labels)[1]


def encoded(stack: Bool[np.ndarray, "n h w"]) -> list[dict]:
    """Return pycocotools' run lengths of dense masks."""
    return coco.encode(np.asfortranarray(stack.transpose(1, 2, 0).view(np.uint8)))


def theirs(predicted: list[dict], true: list[dict]) -> Float64[np.ndarray, "n m"]:
    """Return pycocotools' table."""
    return np.array(coco.iou(predicted, true, [0] * len(true)))


def seconds(action: Callable[[], object]) -> float:
    """Return the processor time of one run: what else the machine does changes it little."""
    start = time.process_time()
    action()
    return time.process_time() - start


def compare(predicted: Bool[np.ndarray, "n h w"], true: Bool[np.ndarray, "m h w"]) -> None:
    """Print a line from dense masks and one from strings."""
    size = (predicted.shape[1], predicted.shape[2])
    runs = [encoded(stack) for stack in (predicted, true)]
    strings = [[one["counts"].decode() for one in some] for some in runs]
    pairs = {
        "dense": (
            lambda: iou_table(predicted, true),
            lambda: theirs(encoded(predicted), encoded(true)),
        ),
        "strings": (
            lambda: iou_table_of_strings(strings[0], strings[1], size),
            lambda: theirs(runs[0], runs[1]),
        ),
    }
    for name, (ours, reference) in pairs.items():
        if not np.array_equal(ours(), reference()):
            raise SystemExit(f"{name}: the tables differ")
        times = [(seconds(ours), seconds(reference)) for _ in range(REPEATS)]
        mine, coco_s = (median(column) for column in zip(*times, strict=True))
        ratio = median(b / a for a, b in times)
        print(f"{name:8} {mine:8.3f} {coco_s:14.3f} {ratio:6.1f} {GOALS[name]:5.0f}")


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    proposals, truths, side = map(int, arguments) if arguments else (PROPOSALS, TRUTHS, SIDE)
    generator = np.random.default_rng(0)
    predicted = blobs(generator, proposals, side)
    print(f"{proposals} proposals at {side} x {side}, of {predicted.mean():.3f} of the image")
    tangled = blobs(generator, truths, side)
    kinds = {
        "disjoint": disjoint(tangled),
        "nested": nested(generator, truths, side),
        "tangled": tangled,
    }
    for name, true in kinds.items():
        print(f"{len(true)} {name} truths, {true.mean(axis=(1, 2)).sum():.2f} a pixel")
        print("from       ours s  pycocotools s  ratio  goal")
        compare(predicted, true)


if __name__ == "__main__":
    main(sys.argv[1:])
