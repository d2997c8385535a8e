"""The feed of trainings: images a second, against an earlier tree and against the JPEGs alone.

    python -m benchmarks.loader [--before CHECKOUT] [--turns 5 --seconds 1 --steps 8]

Two sets, each sharded by the tree that reads it: BSDS500's photos with all annotators' masks, and
records like those of SA-1B as it was taken: photos of 12 megapixels with hundreds of masks, large
ones and small ones. Two tasks, with the crops that photos are trained at: the clicker and the
student. One process makes batches of 1; the trees take short turns in one run, since other work on
the machine comes and goes, and the ratios are medians over the turns. A turn lasts an image at
least: of large photos an earlier tree may take seconds for one. `limit` decodes the same JPEGs
whole, and nothing else. Then trainings on the CPU, of one process with two loader processes: the
share of their time that they wait for data; and the memory of a feed over many images.

`CHECKOUT` is a folder of another commit, as `git worktree add --detach CHECKOUT COMMIT` makes it.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

import numpy as np
import psutil
import torch
from PIL import Image
from pycocotools import mask as coco

ROOT = Path(__file__).resolve().parents[1]
BATCH = 1
PARTS = ("feed", "waiting", "memory")
SETS = {"bsds500": 256, "large": 512}  # the side of a crop
TASKS = ("clicker", "student")
LARGE_HW = (3000, 4000)
PHOTOS, TILES = 4, 14  # large photos, and the small ones in each whose masks it has
SMALL = 60  # photos of BSDS500
SEEN, STEP = 1500, 300  # images over which memory is told, and how often


def main() -> None:
    """Print the tables."""
    arguments = parse()
    if arguments.serve:
        serve(Path(arguments.serve))
        return
    trees = {"now": ROOT} | (
        {"before": Path(arguments.before).resolve()} if arguments.before else {}
    )
    with tempfile.TemporaryDirectory() as name:
        children = {tree: Child(place, Path(name) / tree) for tree, place in trees.items()}
        if "feed" in arguments.parts:
            compare(children, turns=arguments.turns, seconds=arguments.seconds)
        if "waiting" in arguments.parts:
            show_waiting(children["now"], arguments.steps)
        if "memory" in arguments.parts:
            show_memory(children["now"])
        for child in children.values():
            child.stop()


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description="Images a second of the feed of trainings.")
    parser.add_argument("--before", help="folder of an earlier commit")
    parser.add_argument("--turns", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn (default 1)")
    parser.add_argument("--steps", type=int, default=8, help="of a training (default 8)")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS, help="(default: all)")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


class Child:
    """A process that runs this file with the code of a tree and answers requests."""

    def __init__(self, tree: Path, folder: Path) -> None:
        assets = os.environ.get("MASKSPACE_ASSETS", str(ROOT.parent / "shared" / "assets"))
        paths = os.pathsep.join([str(tree / "src"), str(tree)])
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve", str(folder)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": paths, "MASKSPACE_ASSETS": assets},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **request: object) -> dict[str, Any]:
        """Return the answer to a request."""
        line = cast("IO[str]", self._process.stdin)
        line.write(json.dumps(request) + "\n")
        line.flush()
        return json.loads(cast("IO[str]", self._process.stdout).readline())

    def stop(self) -> None:
        """End the process."""
        cast("IO[str]", self._process.stdin).close()
        self._process.wait()


def compare(children: dict[str, Child], *, turns: int, seconds: float) -> None:
    """Print images a second of each task on each set by each tree."""
    print("set      task     tree      images/s  CPU ms an image  now/before  by CPU time")
    for data in SETS:
        limits = [children["now"].ask(what="limit", data=data, seconds=seconds) for _ in range(3)]
        speed, cpu = (median(one[key] for one in limits) for key in ("speed", "cpu"))
        print(f"{data:8} limit    JPEGs  {speed:10.1f} {1e3 * cpu:16.1f}", flush=True)
    for data, task in product(SETS, TASKS):
        found: dict[str, list[dict[str, float]]] = {tree: [] for tree in children}
        for _, (tree, child) in product(range(turns), children.items()):
            found[tree].append(child.ask(what="feed", task=task, data=data, seconds=seconds))
        for tree, answers in found.items():
            speed, cpu = (median(one[key] for one in answers) for key in ("speed", "cpu"))
            print(f"{data:8} {task:8} {tree:6} {speed:10.1f} {1e3 * cpu:16.1f}", end="")
            print(ratios(found) if tree == "now" and len(found) > 1 else "", flush=True)


def ratios(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians of now over before, of turns that followed each other."""
    pairs = list(zip(found["now"], found["before"], strict=True))
    speed = median(now["speed"] / before["speed"] for now, before in pairs)
    cpu = median(before["cpu"] / now["cpu"] for now, before in pairs)
    return f" {speed:11.2f} {cpu:12.2f}"


def show_waiting(child: Child, steps: int) -> None:
    """Print how long trainings wait for data, with two loader processes."""
    print("\ntraining with two loaders      images/s  waits for data")
    for data, task in product(SETS, TASKS):
        row = child.ask(what="train", task=task, data=data, steps=steps)
        print(f"{data:8} {task:20} {row['speed']:10.2f} {row['waits']:15.1%}", flush=True)


def show_memory(child: Child) -> None:
    """Print the resident memory of a feed in one process over many images."""
    seen = child.ask(what="memory", task="clicker", data="bsds500")["mb"]
    print(f"\nresident MB after {STEP} images {seen[0]:.0f}; up to {SEEN}: ", end="")
    print(f"{min(seen) - seen[0]:+.0f} to {max(seen) - seen[0]:+.0f}")


def serve(folder: Path) -> None:
    """Answer requests with the code of this process's tree until there are no more."""
    torch.set_num_threads(1)
    write_bsds(folder)
    write_large(folder)
    feeds: dict[tuple[str, str], Iterator[object]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        what, data = request["what"], request["data"]
        if what == "limit":
            answer = timed(decoded(folder, data), request["seconds"])
        elif what == "feed":
            place = data, request["task"]
            if place not in feeds:
                feeds[place] = feed(folder, request["task"], data)
            answer = timed(feeds[place], request["seconds"], images=BATCH)
        elif what == "train":
            answer = trained(folder, request["task"], data, steps=request["steps"])
        else:
            answer = {"mb": list(resident(feed(folder, request["task"], data)))}
        print(json.dumps(answer), flush=True)


def timed(items: Iterator[object], seconds: float, *, images: int = 1) -> dict[str, float]:
    """Return images a second and CPU seconds an image."""
    number, begin, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin < seconds:
        next(items)
        number += images
    taken = time.perf_counter() - begin
    return {"speed": number / taken, "cpu": (time.process_time() - cpu) / number}


def decoded(folder: Path, data: str) -> Iterator[object]:
    """Yield the decoded JPEGs of a set, again and again."""
    from maskspace.data.open_shards import open_shards
    from maskspace.jpeg import decode_jpeg

    images = [sample.image for sample in open_shards(folder / data, "train")]
    while True:
        for image in images:
            yield decode_jpeg(image)


def feed(folder: Path, task: str, data: str) -> Iterator[object]:
    """Return the feed of a training, made in this process."""
    from maskspace.training.feed import Feed

    made, cpu = task_of(folder, task, data), torch.device("cpu")
    if hasattr(made, "batches"):
        rows = [range(BATCH)]
        return Feed(made.batches, range(10**6), rows=rows, loaders=0, device=cpu)
    # trees before the loader was one
    return Feed(made.batch, range(10**6), parts=[range(BATCH)], loaders=0, device=cpu)  # pyright: ignore


def task_of(folder: Path, task: str, data: str) -> Any:
    """Return a task of params.yaml on one set, with crops for photos."""
    from maskspace.config import Choice, load_section
    from maskspace.training.click_task import make_click_task
    from maskspace.training.config import ClickerConfig, DistillConfig
    from maskspace.training.embedding_task import make_embedding_task

    kind, section = {
        "clicker": (ClickerConfig, "clicker"),
        "student": (DistillConfig, "distill"),
    }[task]
    config = load_section(kind, section)
    crops = replace(
        config.crops, size=SETS[data], min_scale=0.5, turns=False, shuffle_channels=False
    )
    recipe = replace(config.optimisation, batch=BATCH, seed=1, steps=10**6)
    changed = replace(config, data={data: 1.0}, crops=crops, optimisation=recipe)
    if task == "clicker":
        model = replace(config.model, options={**config.model.options, "size": SETS[data]})
        return make_click_task(replace(changed, model=model), folder)
    options = {"radius": 0.1, "level_weights": {"1": 1.0, "4": 2.0}}
    objective = Choice(name="balls", options=options)
    return make_embedding_task(objective, config=changed, shards=folder)


def trained(folder: Path, task: str, data: str, *, steps: int) -> dict[str, float]:
    """Return images a second of a training's last steps, and the share of them that it waited."""
    from maskspace.training.loop import Worker, fit

    made = task_of(folder, task, data)
    recipe = replace(made.config.optimisation, warmup=1).shortened(steps, steps // 2)
    made = replace(made, config=replace(made.config, optimisation=recipe, validation_images=2))
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        fit(made, recipe, Path(name), worker=Worker(loaders=2), report=rows.append)
    return {"speed": rows[-1]["images_per_second"], "waits": rows[-1]["wait_share"]}


def resident(items: Iterator[object]) -> Iterator[float]:
    """Yield the resident megabytes of this process after each STEP images of SEEN."""
    own = psutil.Process()
    for number, _ in zip(range(BATCH, SEEN + 1, BATCH), items, strict=False):
        if number % STEP == 0:
            yield own.memory_info().rss / 1e6


def write_bsds(folder: Path) -> None:
    """Write the shards of BSDS500's photos."""
    write(folder / "bsds500", small_photos())


def small_photos() -> list[Any]:
    """Return BSDS500's photos with the masks of all annotators."""
    from maskspace.data import READERS

    assets = Path(os.environ["MASKSPACE_ASSETS"])
    return list(READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=SMALL))


def write(folder: Path, samples: list[Any]) -> None:
    """Write shards of 50 samples for training, and some of them for validation."""
    from maskspace.data.manifest import write_manifest
    from maskspace.data.shards import write_shard

    facts = [
        write_shard(folder / f"{split}-{number:06d}.tar", chosen[number * 50 : number * 50 + 50])
        for split, chosen in (("train", samples), ("val", samples[:8]))
        for number in range(-(-len(chosen) // 50))
    ]
    write_manifest(folder, facts, dataset=folder.name, details={})


def write_large(folder: Path) -> None:
    """Write the shards of large photos."""
    small = small_photos()
    write(folder / "large", [large_photo(small, number) for number in range(PHOTOS)])


def large_photo(small: list[Any], number: int) -> Any:
    """Return 3000 x 4000 pixels of small photos side by side.

    The masks are those of the first annotator of some of them, where they lie, and those of one
    more, eight times as large.
    """
    from maskspace.data.annotations import Coded, annotate_coded
    from maskspace.types import read_rgb

    rng, pixels = np.random.default_rng(number), np.zeros((*LARGE_HW, 3), np.uint8)
    coded = [place_mask(mask, (200, 60), 8) for mask in first_masks(small[number])]
    corners = list(product(range(0, LARGE_HW[0] - 481, 490), range(0, LARGE_HW[1] - 481, 490)))
    for place, (top, left) in enumerate(rng.permutation(corners).tolist()):
        one = small[int(rng.integers(len(small)))]
        image = read_rgb(one.image)
        pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
        masks = first_masks(one) if place < TILES else ()
        coded += [place_mask(mask, (top, left), 1) for mask in masks]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=90)
    return replace(
        small[0],
        key=f"large-{number:06d}",
        dataset="large",
        image=buffer.getvalue(),
        size_hw=LARGE_HW,
        annotations=annotate_coded([Coded(counts=counts) for counts in coded], LARGE_HW),
    )


def first_masks(sample: Any) -> np.ndarray:
    """Return the masks of a sample's first annotator, n h w, no larger than fits eight times."""
    from maskspace.masks import decode

    counts = [one.counts for one in sample.annotations if one.layer == 0]
    masks = decode(counts, sample.size_hw)[:, :321, :481]
    return masks[masks.any(axis=(1, 2))]


def place_mask(mask: np.ndarray, corner_yx: tuple[int, int], scale: int) -> str:
    """Return COCO's string of a mask, enlarged, at a place of a large photo."""
    borders = np.diff(np.pad(mask, ((1, 1), (0, 0))).astype(np.int8), axis=0).T
    (columns, begins), (_, ends) = np.nonzero(borders == 1), np.nonzero(borders == -1)
    across = (columns[:, None] * scale + np.arange(scale)).ravel() + corner_yx[1]
    first, last = (np.repeat(rows * scale + corner_yx[0], scale) for rows in (begins, ends))
    order = np.lexsort((first, across))
    places = np.stack([first, last], axis=1)[order] + across[order, None] * LARGE_HW[0]
    lengths = np.diff(np.concatenate([[0], places.ravel(), [LARGE_HW[0] * LARGE_HW[1]]]))
    coded: Any = {"size": list(LARGE_HW), "counts": lengths.tolist()}
    return coco.frPyObjects(coded, *LARGE_HW)["counts"].decode()


if __name__ == "__main__":
    main()
