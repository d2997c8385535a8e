"""Merge tree against scikit-image's Felzenszwalb, on the same image, in the same run.

    python -m benchmarks.hierarchy

Prints the seconds of each, their ratio, and the milliseconds of each further question to the tree:
Felzenszwalb gives one partition a run, the tree all of them.
"""

import time
from collections.abc import Callable
from statistics import median

import numpy as np
from skimage.data import coffee
from skimage.segmentation import felzenszwalb
from skimage.transform import resize

from maskspace.partition.merge_tree import build_tree

REPEATS = 5


def seconds(action: Callable[[], object]) -> float:
    """Return the median time of an action over a few runs, after one that does not count."""
    action()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Print the table."""
    print("side  tree s  felzenszwalb s  tree/felzenszwalb  partition(24) ms  100 proposals ms")
    for side in (64, 256, 512):
        image = resize(coffee(), (side, side), anti_aliasing=True)
        colours = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
        ours = seconds(lambda colours=colours: build_tree(colours))
        theirs = seconds(lambda image=image: felzenszwalb(image, scale=100, channel_axis=2))
        tree = build_tree(colours)
        cut = seconds(lambda tree=tree: tree.partition(24)) * 1e3
        proposals = seconds(lambda tree=tree: tree.proposals(100)) * 1e3
        ratio = ours / theirs
        print(f"{side:4} {ours:7.3f} {theirs:15.3f} {ratio:18.2f} {cut:17.2f} {proposals:17.2f}")


if __name__ == "__main__":
    main()
