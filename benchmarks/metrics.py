"""IoU tables against pycocotools, and matched boundaries against scipy, in the same run.

    python -m benchmarks.metrics [PROPOSALS TRUTHS SIDE]

Proposals are smooth blobs from 1/40 of the side to all of it, as many at each scale; truths are
disjoint, nest, or are blobs that cross at random, which no data set's do: the hardest. Dense: ours
from bool arrays; pycocotools transposes, encodes and compares. Strings: both from COCO's run
lengths; ours parses them, pycocotools takes them as they are. Prints medians in seconds of
processor time on one thread (set OMP_NUM_THREADS=1), the goal beside each ratio, and stops if a
table differs from theirs.

Boundaries: those of a hierarchy of 321 x 481 at 6 scales, as they are and thinned, each with those
of two others; scipy matches by Hopcroft and Karp on a graph that is written out.
"""

import sys
import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from jaxtyping import Bool, Float64
from pycocotools import mask as coco
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from maskspace import masks
from maskspace.masks.iou_table import iou_table, iou_table_of_strings
from maskspace.metrics.boundary import TOLERANCE, matched_pixels, region_boundaries, thinned

PROPOSALS, TRUTHS, SIDE = 1000, 100, 1024
REPEATS = 3
GOALS = {"dense": 10.0, "strings": 1.0}
SIZE_HW, SCALES, ANNOTATORS = (321, 481), 6, 2


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


def hills(seed: int, number: int) -> Bool[np.ndarray, "s h w"]:
    """Return the boundaries of a field of hills cut into ever fewer steps."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(SIZE_HW), 7)
    field = (field - field.min()) / np.ptp(field)
    steps = np.geomspace(16, 2, number)
    return np.stack([region_boundaries((field * n).astype(int)) for n in steps])


def scipys(predicted: Bool[np.ndarray, "h w"], true: Bool[np.ndarray, "h w"], reach: float) -> int:
    """Return the size of scipy's largest matching."""
    here, there = np.argwhere(predicted), np.argwhere(true)
    number = np.cumsum(true).reshape(true.shape) - 1
    left, right = [], []
    side = int(reach)
    for step in np.indices((2 * side + 1,) * 2).reshape(2, -1).T - side:
        place = here + step
        near = (step @ step <= reach**2) & (place >= 0).all(1) & (place < true.shape).all(1)
        near[near] = true[tuple(place[near].T)]
        left.append(np.flatnonzero(near))
        right.append(number[tuple(place[near].T)])
    edges = np.concatenate(left), np.concatenate(right)
    graph = csr_array((np.ones(len(edges[0]), np.int8), edges), shape=(len(here), len(there)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def ours(predicted: Bool[np.ndarray, "h w"], true: Bool[np.ndarray, "h w"], reach: float) -> int:
    """Return the size of our matching."""
    return int(matched_pixels(predicted, true, reach=reach).sum())


def timed(match: Callable[..., int], pairs: Sequence, reach: float) -> tuple[float, list[int]]:
    """Return the processor time of matching all pairs, and how many partners each has."""
    start = time.process_time()
    counts = [match(*pair, reach) for pair in pairs]
    return time.process_time() - start, counts


def compare_boundaries() -> None:
    """Print a line of the boundaries as they are and one of them thinned."""
    reach = TOLERANCE * float(np.hypot(*SIZE_HW))
    true = [thinned(hills(seed, 4)[1]) for seed in range(ANNOTATORS)]
    print(f"{SCALES} boundaries with {ANNOTATORS} each, {SIZE_HW[0]} x {SIZE_HW[1]}")
    print("from       ours s         scipy s  ratio")
    plain = hills(0, SCALES)
    for name, scales in (("plain", plain), ("thinned", [thinned(one) for one in plain])):
        pairs = [(scale, one) for scale in scales for one in true]
        matched_pixels(*pairs[0], reach=reach)  # compiles
        mine, counts = timed(ours, pairs, reach)
        theirs_s, reference = timed(scipys, pairs, reach)
        if counts != reference:
            raise SystemExit(f"{name}: the numbers of partners differ")
        print(f"{name:8} {mine:8.3f} {theirs_s:14.3f} {theirs_s / mine:6.1f}", flush=True)


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
    compare_boundaries()


if __name__ == "__main__":
    main(sys.argv[1:])
