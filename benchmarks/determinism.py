"""Whether proposals depend on anything but the image: on photos, everything mode of a clicker.

    OMP_NUM_THREADS=1 python -m benchmarks.determinism MODEL --data KIND:PATH [--split val]
        [--images 100 --per-side 16 --limit 100 --unrounded --arithmetic [ROW ...] --device cuda]

Prints, over the images, in how many the masks and scores are the same bit for bit as those of one
run in this process: in another order of images; by one and by two workers on Ray; and for how many
clicks the map is the same when 1 or 8 clicks are asked at a time instead of 64. Then what a change
of arithmetic costs: other sizes of chunks; other kernels of the same float32, convolutions without
oneDNN and attention written out; bfloat16; and a GPU where there is one: images with as many
proposals, proposals that have a partner of IoU >= 0.95 (and >= 0.999), one to one and best first,
and the mean best IoU of the truths. With `--arithmetic` that table alone, or these rows of it;
`--unrounded` leaves masks as their maps have them.
"""

import argparse
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, UInt8

from maskspace.cli.evaluate import read_split
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.masks import pairwise_iou
from maskspace.parallel import map_units
from maskspace.partition.grid_clicks import ClickGrid, click_grid, decode_clicks
from maskspace.segmenter import ClickSegmenter
from maskspace.segmenter.loading import load
from maskspace.types import Prediction

CLOSE, CLOSER = 0.95, 0.999
FEW_CLICKS = 9  # asked in other company; every one costs a whole chunk


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.determinism", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--data", required=True, metavar="KIND:PATH")
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--per-side", type=int, default=16)
    parser.add_argument("--chunk", type=int, default=64)
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--min-area", type=int, default=256)
    parser.add_argument("--unrounded", action="store_true")
    parser.add_argument("--arithmetic", nargs="*", metavar="ROW")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kind, _, path = options.data.partition(":")
    samples = read_split(kind, path, split=options.split, limit=options.images)
    truths = [read_truth(sample, min_area=options.min_area) for sample in samples]
    grid = ClickGrid(per_side=options.per_side, chunk=options.chunk, rounded=not options.unrounded)
    asking = Asking(options.model, grid, options.limit)
    images = [truth.image for truth in truths]
    base = [asking(image) for image in images]
    print(f"{len(images)} images, {sum(map(len, base))} proposals, {asking.grid}", flush=True)
    if options.arithmetic is None:
        show_same(asking, images, base)
        show_company(asking, images)
    others = {name: other(asking) for name, other in ARITHMETIC.items()}
    if options.device == "cuda":
        others |= {"GPU": replace(asking, device="cuda")}
        others |= {"GPU, bfloat16": replace(asking, device="cuda", within="bfloat16")}
    rows = options.arithmetic or others
    show_close({name: others[name] for name in rows}, truths, base)


@dataclass(frozen=True)
class Asking:
    """A model by name, and how it is asked; can be sent to another process."""

    model: str
    grid: ClickGrid
    limit: int
    device: str = "cpu"
    within: Literal["float32", "bfloat16", "other kernels"] = "float32"

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> Prediction:
        """Return the proposals of one image."""
        torch.set_num_threads(1)
        model = replace(loaded(self.model, self.device), grid=self.grid)
        with ExitStack() as stack:
            if self.within == "bfloat16":
                stack.enter_context(torch.autocast(self.device, torch.bfloat16))
            if self.within == "other kernels":
                # workers are sent what this code names, and cannot be sent these
                from torch.backends import mkldnn
                from torch.nn.attention import SDPBackend, sdpa_kernel

                stack.enter_context(mkldnn.flags(enabled=False))
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            return model.propose(image, limit=self.limit)


#: Another arithmetic of the same questions.
ARITHMETIC: dict[str, Callable[[Asking], Asking]] = {
    "chunks of 1": lambda asking: replace(asking, grid=replace(asking.grid, chunk=1)),
    "chunks of 8": lambda asking: replace(asking, grid=replace(asking.grid, chunk=8)),
    "other kernels": lambda asking: replace(asking, within="other kernels"),
    "bfloat16": lambda asking: replace(asking, within="bfloat16"),
}


_LOADED: dict[tuple[str, str], ClickSegmenter] = {}


def loaded(name: str, device: str) -> ClickSegmenter:
    """Return the clicker of this name, read once a process."""
    if (name, device) not in _LOADED:
        model = load(name, device=device)
        if not isinstance(model, ClickSegmenter):
            raise SystemExit(f"{name} is no click model")
        _LOADED[name, device] = model
    return _LOADED[name, device]


def digest(proposals: Prediction) -> str:
    """Return what tells proposals apart, bit for bit."""
    return hashlib.sha256(
        np.packbits(proposals.masks).tobytes() + proposals.scores.tobytes()
    ).hexdigest()


def digest_of(asking: Asking, image: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return the digest of an image's proposals."""
    return digest(asking(image))


def show_same(
    asking: Asking, images: Sequence[UInt8[np.ndarray, "h w 3"]], base: Sequence[Prediction]
) -> None:
    """Print in how many images other orders and workers give the same bits."""
    expected = [digest(one) for one in base]
    ask = partial(digest_of, asking)
    runs: dict[str, Callable[[], list[str]]] = {
        "backwards": lambda: [ask(image) for image in images[::-1]][::-1],
        "1 worker": lambda: list(map_units(ask, images, workers=1)),
        "2 workers": lambda: list(map_units(ask, images, workers=2)),
    }
    print("\nsame bits       images")
    for name, run in runs.items():
        same = sum(a == b for a, b in zip(run(), expected, strict=True))
        print(f"{name:<15} {same} of {len(images)}", flush=True)


def show_company(asking: Asking, images: Sequence[UInt8[np.ndarray, "h w 3"]]) -> None:
    """Print for how many clicks the map does not depend on how many are asked at a time."""
    model, same, total = loaded(asking.model, "cpu").model, dict.fromkeys((1, 8), 0), 0
    for image in images:
        size_hw = (image.shape[0], image.shape[1])
        clicks = click_grid(size_hw, per_side=8)
        positive = np.ones(len(clicks), bool)
        features = model.encode(image)
        decode = partial(decode_clicks, model, features, size_hw, chunk=asking.grid.chunk)
        every = decode(clicks, positive)
        few = np.linspace(0, len(clicks) - 1, FEW_CLICKS).astype(int)
        for number in same:
            parts = [few[start : start + number] for start in range(0, len(few), number)]
            maps = np.concatenate([decode(clicks[part], positive[part]) for part in parts])
            same[number] += int((maps == every[few]).all(axis=(1, 2)).sum())
        total += len(few)
    print("\nasked at a time  clicks with the same bits as of 64")
    for number, count in same.items():
        print(f"{number:<16} {count} of {total}", flush=True)


def show_close(
    others: Mapping[str, Asking], truths: Sequence[Truth], base: Sequence[Prediction]
) -> None:
    """Print how near the proposals of another arithmetic are."""
    before = mean_best_iou(base, truths)
    print(f"\nmean best IoU {before:.4f}")
    print("arithmetic      same count  IoU >= 0.95  >= 0.999  least  mean best IoU  change")
    for name, other in others.items():
        found = [other(truth.image) for truth in truths]
        partners = np.concatenate(
            [matched(a.masks, b.masks) for a, b in zip(base, found, strict=True)]
        )
        counts = np.mean([len(a) == len(b) for a, b in zip(base, found, strict=True)])
        after = mean_best_iou(found, truths)
        shares = [np.mean(partners >= level) for level in (CLOSE, CLOSER)]
        print(
            f"{name:<15} {counts:>10.3f}  {shares[0]:>11.4f}  {shares[1]:>8.4f}"
            f"  {partners.min(initial=1):>5.3f}  {after:>13.4f}  {after - before:>+.4f}",
            flush=True,
        )


def matched(masks: Bool[np.ndarray, "n h w"], others: Bool[np.ndarray, "m h w"]) -> np.ndarray:
    """Return of each mask the IoU with its partner, one to one, best first; 0 without one."""
    iou = pairwise_iou(masks, others)
    found = np.zeros(len(masks))
    for _ in range(min(iou.shape)):
        row, column = divmod(int(iou.argmax()), iou.shape[1])
        if iou[row, column] <= 0:
            break
        found[row] = iou[row, column]
        iou[row], iou[:, column] = -1, -1
    return found


def mean_best_iou(proposals: Sequence[Prediction], truths: Sequence[Truth]) -> float:
    """Return the mean over truths of the best IoU that any proposal has."""
    best = [
        pairwise_iou(found.masks & ~truth.ignore, truth.masks).max(axis=0, initial=0)
        for found, truth in zip(proposals, truths, strict=True)
    ]
    return float(np.concatenate(best).mean())


if __name__ == "__main__":
    main()
