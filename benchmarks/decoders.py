"""Seconds of every decoder on what a perfect network emits of one image, on one thread.

    OMP_NUM_THREADS=1 python -m benchmarks.decoders [--size 512 --turns 3 --noise 0.0]
    OMP_NUM_THREADS=1 python -m benchmarks.decoders --device cuda

Prints the median seconds, the instances found of 6 rectangles that share borders, and the share of
their pixels that lie in the right one; where scikit-learn has the method, its seconds on the same
pixels and how many times those are ours: MeanShift with bin seeding, and HDBSCAN of the same
sample with the same nearest means after it. Noise is added to all maps but the foreground.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from sklearn.cluster import HDBSCAN, MeanShift
from torch import Tensor

from maskspace.partition import DECODERS
from maskspace.partition.modes import evenly_spaced
from tests.partition.scenes import perfect_outputs, touching

#: The heads that each decoder reads, and its options.
READS: dict[str, tuple[tuple[str, ...], dict[str, object]]] = {
    "agglomeration": (("1",), {"bandwidth": 1.0}),
    "centre_votes": (("direction",), {}),
    "components": (("1",), {"threshold": 2.0}),
    "hdbscan": (("1",), {}),
    "mean_shift": (("1",), {"bandwidth": 1.0}),
    "merge_tree": (("1",), {}),
    "mutex_watershed": (("1",), {"bandwidth": 1.0}),
    "seeded_similarity": (("1", "seeds"), {}),
    "sequential_gaussian": (("1", "seed", "bandwidth"), {}),
    "watershed_cut": (("energy",), {}),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoders", description=__doc__)
    parser.add_argument("--size", type=int, default=512, help="side in pixels of the image")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of what is added")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    true = touching((options.size, options.size))
    print(f"{options.size} x {options.size}, noise {options.noise}, on {options.device}")
    print(f"{'decoder':20} {'seconds':>8} {'found':>6} {'right':>7} {'sklearn':>8} {'times':>6}")
    for name in DECODERS:
        if name in READS:
            show(name, true, options)


def show(name: str, true: np.ndarray, options: argparse.Namespace) -> None:
    """Print a decoder's line."""
    heads, kwargs = READS[name]
    outputs = noisy(perfect_outputs(true, heads=(*heads, "foreground")), options.noise)
    given = {head: output.to(options.device) for head, output in outputs.items()}
    found = DECODERS[name](given, **kwargs)  # a first call compiles, or chooses a GPU's kernels
    ours = median(seconds(lambda: DECODERS[name](given, **kwargs)) for _ in range(options.turns))
    line = f"{name:20} {ours:8.2f} {len(found.scores):6} {share(found.labels, true):7.4f}"
    if name in REFERENCES:
        theirs = seconds(lambda: REFERENCES[name](outputs))
        line += f" {theirs:8.2f} {theirs / ours:6.1f}"
    print(line, flush=True)


def noisy(outputs: dict[str, Tensor], noise: float) -> dict[str, Tensor]:
    """Return maps with noise, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return {
        head: output
        if head == "foreground"
        else output + noise * torch.randn(output.shape, generator=generator)
        for head, output in outputs.items()
    }


def share(found: np.ndarray, true: np.ndarray) -> float:
    """Return the share of the instances' pixels that lie in the commonest label of their own."""
    right = 0
    for label in np.unique(true[true > 0]):
        counts = np.bincount(found[true == label])
        counts[0] = 0
        right += int(counts.max())
    return right / int((true > 0).sum())


def with_mean_shift(outputs: dict[str, Tensor]) -> None:
    """Cluster the foreground by scikit-learn's flat kernel."""
    pixels = outputs["1"][:, outputs["foreground"][0] > 0].T.numpy()
    MeanShift(bandwidth=1.0, bin_seeding=True).fit(pixels)


def with_hdbscan(outputs: dict[str, Tensor]) -> None:
    """Cluster the sample of the foreground that the decoder takes."""
    pixels = outputs["1"][:, outputs["foreground"][0] > 0].T
    points = pixels[evenly_spaced(len(pixels), 5000)].numpy()
    least = max(2, round(64 * len(points) / len(pixels)))
    labels = HDBSCAN(min_cluster_size=least, copy=True).fit(points).labels_
    means = np.stack([points[labels == k].mean(0) for k in range(labels.max() + 1)])
    torch.cdist(pixels, torch.from_numpy(means)).argmin(1)


REFERENCES: dict[str, Callable[[dict[str, Tensor]], None]] = {
    "hdbscan": with_hdbscan,
    "mean_shift": with_mean_shift,
}


def seconds(action: Callable[[], object]) -> float:
    """Return how long an action takes; its answer is on the CPU, so a GPU has then ended too."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
