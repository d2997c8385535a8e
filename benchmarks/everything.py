"""Everything mode: a grid of clicks on our clicker against SAM's automatic mask generation.

    OMP_NUM_THREADS=1 python -m benchmarks.everything [--side 128 --per-side 32]
    OMP_NUM_THREADS=1 python -m benchmarks.everything --vit base --side 1024 --per-side 32 --share 1

Ours is the clicker of params.yaml, or SegNext's around a ViT of a published size. Both encoders
have the same width, depth, heads, patches and side, and random weights: what is measured is time
and memory, not masks. Both see the same image and the same number of clicks. SAM's
threshold of predicted IoU is put where a `--share` of its masks passes, at which the rest goes on;
the published weights decide that share otherwise. No mask fails by its stability.

Each has a process of its own. By part, seconds and the peak of resident memory above that before
the image, by looking every 2 ms at what the process does: encode (once an image), decode (clicks to
maps), filter (scores, grouping, boxes, run lengths), NMS, and full size (maps and masks at the
image's size). The last column is SAM's seconds over ours.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import psutil
import torch
from jaxtyping import UInt8

from maskspace.config import read_params
from maskspace.models.click_vit import VITS, build_click_vit
from maskspace.partition.grid_clicks import ClickGrid, propose_from_clicks
from maskspace.peers.automatic_masks import automatic_masks, point_grid
from maskspace.peers.sam import sam

PARTS = {
    "ClickVit.encode": "encode",
    "decode_clicks": "decode",
    "group_maps": "filter",
    "union_nms": "NMS",
    "_Candidate.at_size": "full size",
    "DistinctMasks.add": "NMS",
    "PromptedNetwork.look": "encode",
    "PromptedNetwork.decode": "decode",
    "_passing": "filter",
    "box_nms": "NMS",
    "PromptedNetwork.enlarge": "full size",
    "ranked": "full size",
}
REST = "rest"
SYSTEMS = ("ours", "SAM")
DEFAULT = "default"


def main() -> None:
    """Print the table, or with --only what one system takes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.everything", description=__doc__)
    parser.add_argument("--vit", choices=(DEFAULT, *VITS), default=DEFAULT)
    parser.add_argument("--side", type=int, default=128, help="pixels of the networks' square")
    parser.add_argument("--per-side", type=int, default=16, help="clicks a side of the grid")
    parser.add_argument("--chunk", type=int, default=64, help="clicks decoded at a time")
    parser.add_argument("--rows", type=int, default=768, help="of the image; columns are 4/3 of it")
    parser.add_argument("--share", type=float, default=0.5, help="of SAM's masks that pass")
    parser.add_argument("--limit", type=int, default=100, help="masks that are asked for")
    parser.add_argument("--only", choices=SYSTEMS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if options.only:
        print(json.dumps(measure(options)))
    else:
        show(options)


def show(options: argparse.Namespace) -> None:
    """Run each system in a process of its own and print the table."""
    taken = {}
    for system in SYSTEMS:
        command = [sys.executable, "-m", "benchmarks.everything", *sys.argv[1:], "--only", system]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        taken[system] = json.loads(output.splitlines()[-1])
    print(
        f"ViT {options.vit} at {options.side}, {options.per_side}^2 clicks, image of "
        f"{options.rows} x {options.rows * 4 // 3}, {options.share:.0%} of SAM's masks pass"
    )
    print("part        ours s    MB   SAM s    MB  SAM/ours")
    for part in [*dict.fromkeys(PARTS.values()), REST, "all"]:
        (ours, megabytes), (other, its) = (taken[s].get(part, (0.0, 0.0)) for s in SYSTEMS)
        ratio = f"{other / ours:8.1f}" if ours >= 0.01 else "       -"
        print(f"{part:10} {ours:7.2f} {megabytes:5.0f} {other:7.2f} {its:5.0f}  {ratio}")


def measure(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Return seconds and peak megabytes of each part of one system."""
    rows = options.rows
    noise = np.random.default_rng(0).integers(0, 256, (rows // 16, rows // 12, 3), np.uint8)
    image = np.ascontiguousarray(np.kron(noise, np.ones((16, 16, 1), np.uint8)))
    propose = ours(options) if options.only == "ours" else published(options, image)
    watch = Watch()
    with watch:
        found = propose(image, limit=options.limit)
    assert len(found) > 0
    return watch.taken


def ours(options: argparse.Namespace) -> partial:
    """Return everything mode of our clicker."""
    model = build_click_vit(**architecture(options)).eval()
    grid = ClickGrid(per_side=options.per_side, chunk=options.chunk)
    return partial(propose_from_clicks, model, grid=grid)


def architecture(options: argparse.Namespace) -> dict[str, Any]:
    """Return what our clicker is built from."""
    if options.vit != DEFAULT:
        return {"size": options.side, "vit": options.vit}
    chosen = read_params(Path("params.yaml"))["clicker"]["model"]["options"]
    lists = {name: tuple(value) for name, value in chosen.items() if isinstance(value, list)}
    return {**chosen, **lists, "size": options.side}


def published(options: argparse.Namespace, image: UInt8[np.ndarray, "h w 3"]) -> partial:
    """Return SAM's, at the threshold that a share of its masks passes."""
    import transformers

    clicker = build_click_vit(**architecture(options)).architecture
    dim, depth, heads = clicker.dim, clicker.depth, clicker.heads
    frame = {"image_size": options.side, "patch_size": clicker.patch}
    every = max(1, depth // 4)
    vision = transformers.SamVisionConfig(
        hidden_size=dim,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        global_attn_indexes=list(range(every - 1, depth, every)),
        initializer_range=0.02,
        **frame,
    )
    prompts = transformers.SamPromptEncoderConfig(**frame)
    config = transformers.SamConfig(
        vision_config=vision.to_dict(), prompt_encoder_config=prompts.to_dict()
    )
    model = transformers.SamModel(config)
    model.mask_decoder.iou_prediction_head.proj_out.bias.data += 1  # a threshold of 0 is none
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder))
        network = sam(weights=folder)  # kept in memory from here on
    seen = network.look(image)
    some = point_grid(4)[:, None] * (image.shape[1], image.shape[0])
    _, predicted = network.decode(seen, some, np.ones(some.shape[:2], bool), multimask=True)
    threshold = float(np.quantile(predicted.numpy(), 1 - options.share))

    return partial(
        automatic_masks,
        sam,
        weights=folder,
        points_per_side=options.per_side,
        points_per_batch=options.chunk,
        pred_iou_thresh=threshold,
        stability_score_thresh=0,
    )


class Watch:
    """Looks every 2 ms at which part the main thread is in, and at the memory of the process."""

    def __init__(self) -> None:
        self.taken: dict[str, tuple[float, float]] = {}
        self._process = psutil.Process()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._main = threading.get_ident()

    def __enter__(self) -> None:
        self._before = self._process.memory_info().rss
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        seconds: Counter[str] = Counter()
        peak: Counter[str] = Counter()
        last = time.perf_counter()
        while not self._end.wait(0.002):
            now = time.perf_counter()
            part = _part(sys._current_frames().get(self._main))
            memory = (self._process.memory_info().rss - self._before) // 2**20
            for name in (part, "all"):
                seconds[name] += now - last
                peak[name] = max(peak[name], memory)
            last = now
        self.taken = {name: (seconds[name], float(peak[name])) for name in seconds}


def _part(frame: FrameType | None) -> str:
    """Return the part of the innermost function that is one."""
    while frame is not None:
        if frame.f_code.co_qualname in PARTS:
            return PARTS[frame.f_code.co_qualname]
        frame = frame.f_back
    return REST


if __name__ == "__main__":
    main()
