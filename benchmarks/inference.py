"""A student on a photo: network and tree, against Felzenszwalb and a small network, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.inference [--model student] [--repeats 5] [--large]

One thread, a photo of 481 x 321. `small network` is an EfficientNet-Lite0 with a pyramid of 48
channels over strides 2 to 32 and the same heads, without weights: the size of the probe that the
goals come from. Felzenszwalb is scikit-image's at one scale, k 200. Each is
timed in turn, so that what else the machine does hits all of them; the least time counts, the
processor's time beside it. --large: a photo of 12 megapixels, with the most memory that the process
held beyond its start.
"""

import argparse
import resource
import time
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from jaxtyping import UInt8
from skimage.data import astronaut
from skimage.segmentation import felzenszwalb
from skimage.transform import resize

import maskspace
from maskspace.models.feature_pyramid import FeaturePyramid
from maskspace.partition.border_tree import tree_of_outputs
from maskspace.segmenter.border import BorderSegmenter

SIZE_HW, LARGE_HW = (321, 481), (3000, 4000)
Photo = UInt8[np.ndarray, "h w 3"]


def main() -> None:
    """Print a line a part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inference", description=__doc__)
    parser.add_argument("--model", default="student")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = maskspace.load(options.model)
    if not isinstance(model, BorderSegmenter):
        raise SystemExit(f"{options.model}: no student with a tree of borders; give one")
    if options.large:
        measure_large(model)
        return
    compare(model, photo_of(SIZE_HW), repeats=options.repeats)


def photo_of(size_hw: tuple[int, int]) -> Photo:
    """Return a photo of a free licence at a size."""
    return np.round(resize(astronaut(), size_hw, anti_aliasing=True) * 255).astype(np.uint8)


def compare(model: BorderSegmenter, photo: Photo, *, repeats: int) -> None:
    """Print milliseconds and ratios of the parts on one photo."""
    pixels = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255
    network = cast("FeaturePyramid", model.module)
    small = FeaturePyramid(
        network.declared, backbone="efficientnet_lite0", width=48, depth=1, decoder=None
    ).eval()
    with torch.inference_mode():
        outputs = {head: x[0] for head, x in network(pixels).items()}
    parts: dict[str, Callable[[], object]] = {
        "network": lambda: inferred(network, pixels),
        "tree": lambda: tree_of_outputs(outputs, model.rule, size_hw=SIZE_HW),
        "partition(24)": lambda: tree.partition(24),
        "Felzenszwalb": lambda: felzenszwalb(photo, scale=200, sigma=0.8, min_size=20),
        "small network": lambda: inferred(small, pixels),
    }
    tree = tree_of_outputs(outputs, model.rule, size_hw=SIZE_HW)
    for action in parts.values():
        action()
    times = {name: (np.inf, np.inf) for name in parts}
    for _ in range(repeats):
        for name, action in parts.items():
            found = timed(action)
            times[name] = cast("tuple[float, float]", tuple(map(min, times[name], found)))
    print(f"{SIZE_HW[1]} x {SIZE_HW[0]}, least of {repeats}")
    print("part            ms   processor ms   of Felzenszwalb   of the small network")
    for name, (wall, processor) in times.items():
        ratios = (wall / times[other][0] for other in ("Felzenszwalb", "small network"))
        print(f"{name:14} {wall:5.0f} {processor:11.0f} {next(ratios):14.2f} {next(ratios):18.2f}")


def inferred(network: torch.nn.Module, pixels: torch.Tensor) -> object:
    """Return a network's maps."""
    with torch.inference_mode():
        return network(pixels)


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Return milliseconds of the clock and of the processor."""
    begin, begun = time.perf_counter(), time.process_time()
    action()
    return 1000 * (time.perf_counter() - begin), 1000 * (time.process_time() - begun)


def measure_large(model: BorderSegmenter) -> None:
    """Print time and memory of a partition of 12 megapixels."""
    small = photo_of(SIZE_HW)
    model.partition(small, 24)
    rows, columns = (np.arange(n) * m // n for n, m in zip(LARGE_HW, SIZE_HW, strict=True))
    photo = small[rows][:, columns]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, processor = timed(lambda: model.partition(photo, 24))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = max(0, peak - before) / 1024
    print(f"{LARGE_HW[1]} x {LARGE_HW[0]}: {wall:.0f} ms, processor {processor:.0f} ms, "
          f"{grown:.0f} MB more than before")  # fmt: skip


if __name__ == "__main__":
    main()
