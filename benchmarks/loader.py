"""The feed of trainings: images a second, against an earlier tree and against the JPEGs alone.

    python -m benchmarks.loader [--before CHECKOUT] [--turns 5] [--seconds 4]

Two sets, each sharded by the tree that reads it: BSDS500's photos with all annotators' masks, and
records like those of SA-1B as it was taken: photos of 12 megapixels with hundreds of masks, large
ones and small ones. Two tasks, with the crops that photos are trained at: the clicker and the
student. One loader process makes batches of 8; the trees take turns in one run, since other work on
the machine comes and goes, and the ratios are medians over the turns. CPU milliseconds an image are
those of all processes of a contestant. `limit` decodes the same JPEGs whole, in one process, and
nothing else. Then trainings on the CPU with two loader processes: the share of their time that they
wait for data, and the memory of a feed over many images.

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

ROOT = Path(__file__).resolve().parents[1]
BATCH, WARM = 8, 6  # images of a batch, batches before the clock starts
SETS = {"bsds500": 256, "large": 512}  # the side of a crop
TASKS = ("clicker", "student")
PHOTOS, TILES = 24, 14  # large photos, and small photos in each whose masks it has


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
        compare(children, turns=arguments.turns, seconds=arguments.seconds)
        show_waiting(children["now"])
        show_memory(children["now"])
        for child in children.values():
            child.stop()


def parse() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", help="folder of an earlier commit")
    parser.add_argument("--turns", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of a turn (default 4)")
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
        print(f"{data:8} limit    JPEGs  {speed:10.1f} {1e3 * cpu:16.1f}")
    for data, task in product(SETS, TASKS):
        found: dict[str, list[dict[str, float]]] = {tree: [] for tree in children}
        for _, (tree, child) in product(range(turns), children.items()):
            found[tree].append(child.ask(what="feed", task=task, data=data, seconds=seconds))
        for tree, answers in found.items():
            speed, cpu = (median(one[key] for one in answers) for key in ("speed", "cpu"))
            print(f"{data:8} {task:8} {tree:6} {speed:10.1f} {1e3 * cpu:16.1f}", end="")
            print(ratios(found) if tree == "now" and len(found) > 1 else "")


def ratios(found: dict[str, list[dict[str, float]]]) -> str:
    """Return the medians of now over before, of turns that followed each other."""
    pairs = list(zip(found["now"], found["before"], strict=True))
    speed = median(now["speed"] / before["speed"] for now, before in pairs)
    cpu = median(before["cpu"] / now["cpu"] for now, before in pairs)
    return f" {speed:11.2f} {cpu:12.2f}"


def show_waiting(child: Child) -> None:
    """Print how long trainings wait for data, with two loader processes."""
    print("\ntraining with two loaders      images/s  waits for data")
    for data, task in product(SETS, TASKS):
        row = child.ask(what="train", task=task, data=data)
        print(f"{data:8} {task:20} {row['speed']:10.2f} {row['waits']:15.1%}")


def show_memory(child: Child) -> None:
    """Print the resident memory of a feed in one process over many images."""
    seen = child.ask(what="memory", task="clicker", data="bsds500")["mb"]
    print(f"\nresident MB after 1000 images {seen[0]:.0f}; up to 6000: ", end="")
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
                feeds[place] = feed(folder, request["task"], data, loaders=1)
            answer = timed(feeds[place], request["seconds"], images=BATCH)
        elif what == "train":
            answer = trained(folder, request["task"], data)
        else:
            answer = {"mb": list(resident(feed(folder, request["task"], data, loaders=0)))}
        print(json.dumps(answer), flush=True)


def timed(items: Iterator[object], seconds: float, *, images: int = 1) -> dict[str, float]:
    """Return images a second and CPU seconds an image."""
    for _ in range(WARM):  # start, and empty what has been prepared meanwhile
        next(items)
    own, number = psutil.Process(), 0
    begin, cpu = time.perf_counter(), cpu_seconds(own)
    while time.perf_counter() - begin < seconds or number < 3 * images:
        next(items)
        number += images
    taken = time.perf_counter() - begin
    return {"speed": number / taken, "cpu": (cpu_seconds(own) - cpu) / number}


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of this process and its children."""
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def decoded(folder: Path, data: str) -> Iterator[object]:
    """Yield the decoded JPEGs of a set, again and again."""
    from maskspace.data.open_shards import open_shards
    from maskspace.jpeg import decode_jpeg

    images = [sample.image for sample in open_shards(folder / data, "train")]
    while True:
        for image in images:
            yield decode_jpeg(image)


def feed(folder: Path, task: str, data: str, *, loaders: int) -> Iterator[object]:
    """Return the feed of a training."""
    from maskspace.training.feed import Feed

    made, cpu = task_of(folder, task, data), torch.device("cpu")
    if hasattr(made, "batches"):
        rows = [range(BATCH)]
        return Feed(made.batches, range(10**6), rows=rows, loaders=loaders, device=cpu)
    # trees before the loader was one
    return Feed(made.batch, range(10**6), parts=[range(BATCH)], loaders=loaders, device=cpu)  # pyright: ignore


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


def trained(folder: Path, task: str, data: str) -> dict[str, float]:
    """Return images a second of a training's last steps, and the share of them that it waited."""
    from maskspace.training.loop import Worker, fit

    made = task_of(folder, task, data)
    steps = {"bsds500": 24, "large": 12}[data]
    recipe = replace(made.config.optimisation, warmup=1).shortened(steps, steps // 2)
    made = replace(made, config=replace(made.config, optimisation=recipe, validation_images=2))
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        fit(made, recipe, Path(name), worker=Worker(loaders=2), report=rows.append)
    return {"speed": rows[-1]["images_per_second"], "waits": rows[-1]["wait_share"]}


def resident(items: Iterator[object]) -> Iterator[float]:
    """Yield the resident megabytes of this process after each 1000 images of 6000."""
    own = psutil.Process()
    for number, _ in enumerate(items, start=1):
        if number * BATCH % 1000 == 0:
            yield own.memory_info().rss / 1e6
        if number * BATCH == 6000:
            return


def write_bsds(folder: Path) -> None:
    """Write the shards of BSDS500's photos."""
    write(folder / "bsds500", small_photos())


def small_photos() -> list[Any]:
    """Return BSDS500's photos with the masks of all annotators."""
    from maskspace.data import READERS

    assets = Path(os.environ["MASKSPACE_ASSETS"])
    return READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=None)[:]


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
    more, stretched over all of it.
    """
    from maskspace.data.annotations import annotate
    from maskspace.types import read_rgb

    height, width, rng = 3000, 4000, np.random.default_rng(number)
    pixels, masks = np.zeros((height, width, 3), np.uint8), []
    tiles = [
        (top, left) for top in range(0, height - 481, 330) for left in range(0, width - 481, 490)
    ]
    for place, (top, left) in enumerate(rng.permutation(tiles).tolist()):
        one = small[int(rng.integers(len(small)))]
        image = read_rgb(one.image)
        inside = slice(top, top + image.shape[0]), slice(left, left + image.shape[1])
        pixels[inside] = image
        for mask in first_masks(one) if place < TILES else ():
            masks.append(np.zeros((height, width), bool))
            masks[-1][inside] = mask
    rows, columns = (np.arange(side) for side in (height, width))
    whole = first_masks(small[number])
    down, right = whole.shape[1] / height, whole.shape[2] / width
    at = (rows * down).astype(int)[:, None], (columns * right).astype(int)
    masks += [mask[at] for mask in whole]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=90)
    return replace(
        small[0],
        key=f"large-{number:06d}",
        dataset="large",
        image=buffer.getvalue(),
        size_hw=(height, width),
        annotations=annotate(np.stack(masks)),
    )


def first_masks(sample: Any) -> np.ndarray:
    """Return the masks of a sample's first annotator, n h w."""
    from maskspace.masks import decode

    counts = [one.counts for one in sample.annotations if one.layer == 0]
    return decode(counts, sample.size_hw)


if __name__ == "__main__":
    main()
