"""Trees of given features by image size, against scikit-image's Felzenszwalb in the same run.

    OMP_NUM_THREADS=1 python -m benchmarks.partition [--sizes 321x481 768x1024 3000x4000]

Features are the colours of scikit-image's photo `coffee` in CIELAB, the boundary map is their
gradient; both are there before the clock starts. Each line is one size: superpixels, graph and
whole tree of features (`build_tree`), whole tree of borders (`border_tree`), one cut and 100 cuts,
Felzenszwalb at one scale (not above 2 megapixels), and the peak memory of the process so far.
Felzenszwalb gives one partition a run, a tree all of them.
"""

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from scipy import ndimage
from skimage.color import rgb2lab
from skimage.data import coffee
from skimage.segmentation import felzenszwalb
from skimage.transform import resize

from maskspace.partition.border_tree import border_tree
from maskspace.partition.merge_tree import build_tree
from maskspace.partition.region_graph import region_graph
from maskspace.partition.superpixels import superpixels

SIZES = ("321x481", "768x1024", "3000x4000")
#: Pixels above which an action is timed once, and Felzenszwalb and `build_tree` are left out.
LARGE = 2_000_000
COLUMNS = (
    "size",
    "superpixels s",
    "graph s",
    "tree of features s",
    "tree of borders s",
    "one cut ms",
    "100 cuts ms",
    "Felzenszwalb s",
    "Felzenszwalb / tree of features",
    "Felzenszwalb / tree of borders",
    "peak GB",
)


def seconds(action: Callable[[], object], *, repeats: int) -> float:
    """Return the median time of an action over a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


def line(size_hw: tuple[int, int]) -> list[str]:
    """Return the cells of one size."""
    is_large = size_hw[0] * size_hw[1] > LARGE
    repeats = 1 if is_large else 5
    image = np.asarray(resize(coffee(), size_hw, anti_aliasing=True), np.float32)
    colours = np.ascontiguousarray(rgb2lab(image).transpose(2, 0, 1), np.float32) / 100
    slopes = (ndimage.gaussian_gradient_magnitude(channel, 2.0) for channel in colours)
    boundary = np.minimum(8 * sum(slopes), 1).astype(np.float32)
    tree = border_tree(boundary, colours, stride=1)
    of_borders = seconds(lambda: border_tree(boundary, colours, stride=1), repeats=repeats)
    graph = seconds(lambda: region_graph(tree.superpixels, colours, boundary), repeats=repeats)
    counts = np.linspace(1, min(1000, tree.max_regions), 100).astype(int).tolist()
    tree.partition(2)  # the order of leaves is found once
    cut = seconds(lambda: tree.partition(24), repeats=repeats) * 1e3
    cuts = seconds(lambda: [tree.partition(n) for n in counts], repeats=1) * 1e3
    shown = [f"{size_hw[0]}x{size_hw[1]}", "", f"{graph:.3f}", "", f"{of_borders:.3f}"]
    shown += [f"{cut:.2f}", f"{cuts:.0f}", "", "", ""]
    if not is_large:
        found = seconds(lambda: superpixels(colours), repeats=repeats)
        of_features = seconds(lambda: build_tree(colours), repeats=repeats)
        theirs = seconds(lambda: felzenszwalb(image, scale=100, channel_axis=2), repeats=repeats)
        shown[1], shown[3], shown[7] = f"{found:.3f}", f"{of_features:.3f}", f"{theirs:.3f}"
        shown[8:] = [f"{theirs / of_features:.2f}", f"{theirs / of_borders:.2f}"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [*shown, f"{peak:.2f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.partition", description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="ROWSxCOLUMNS")
    options = parser.parse_args()
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for size in options.sizes:
        rows, _, columns = size.partition("x")
        print(f"| {' | '.join(line((int(rows), int(columns))))} |", flush=True)


if __name__ == "__main__":
    main()
