"""What machine code pays in a training step of the student, on the CPU.

    python -m benchmarks.kernels [--rounds N] [--side S --batch B --instances N]
    python -m benchmarks.kernels --others

For each objective that kernels take part in, and for Lovász losses, the CPU time of one thread, in
milliseconds, of forward and backward of the student and of its terms: by the kernels and by torch
alone. Each way runs in a process of its own with an empty folder for machine code, in turn;
medians of the rounds. The last column says by how much a whole step is longer without kernels.

`--others` are those that no objective calls: the clusters of the mutex watershed, against the same
loop in Python, as a share of the whole decoder; and the masks of a 512-pixel crop of a photo of
12 megapixels, read off their strings, against pycocotools, which makes whole masks.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from pycocotools import mask as coco
from scipy import ndimage

from benchmarks.objectives import grid_labels, leaves, milliseconds, student_step, summed
from maskspace.heads import heads_as_options
from maskspace.kernels.mutex_clusters import mutex_clusters
from maskspace.masks import encode
from maskspace.masks.coded import decode_sampled
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.objectives import OBJECTIVES
from maskspace.partition.mutex_watershed import (
    OFFSETS,
    embedding_affinities,
    mutex_watershed,
    signed_edges,
)

#: The first two are the default ones of params.yaml; the last is Lovász and Gaussian maps.
NAMES = (
    "balls",
    "instance_softmax",
    "discriminative",
    "plain",
    "semi_convolutional",
    "spatial_embedding",
)
WAYS = ("kernels", "torch")


def choose_way(way: str) -> None:
    """Let torch alone answer, before anything is compiled."""
    if way == "torch":
        for module in list(sys.modules.values()):
            if getattr(module, "kernels_take", None) is not None:
                module.kernels_take = lambda x: False  # pyright: ignore[reportAttributeAccessIssue]


def measure(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Return the milliseconds of the student's own step, and of the objective's terms."""
    objective = OBJECTIVES[name]()
    torch.manual_seed(0)
    model = build_pixel_embedding(heads=heads_as_options(objective.heads))
    images = torch.rand(options.batch, 3, options.side, options.side)
    labels = grid_labels(options.side, options.batch, options.instances, "cpu")
    outputs, loss = leaves(model(images)), summed(objective)
    timed = partial(milliseconds, repeats=3)
    return timed(lambda: student_step(model, images)), timed(lambda: loss(outputs, labels))


def run(name: str, way: str, options: argparse.Namespace) -> tuple[float, float]:
    """Return what `measure` does in a fresh process."""
    sizes = [f"--{key}={getattr(options, key)}" for key in ("side", "batch", "instances")]
    command = [sys.executable, "-m", "benchmarks.kernels", "--one", name, way, *sizes]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    network, terms = json.loads(done.stdout.splitlines()[-1])
    return network, terms


def show_others() -> None:
    """Print the kernels that no objective calls."""
    command = [sys.executable, "-c", "from benchmarks.kernels import decoder; decoder()"]
    for way, off in (("kernel", "0"), ("Python", "1")):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": off}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        print(f"mutex watershed of 128 x 128 pixels, {way}: {done.stdout.strip()}", flush=True)
    strings()


def least(read: Callable[[], object]) -> float:
    """Return the least CPU milliseconds of three readings after one that compiles."""
    taken = []
    for _ in range(4):
        begin = time.process_time()
        read()
        taken.append(time.process_time() - begin)
    return 1e3 * min(taken[1:])


def decoder() -> None:
    """Print the milliseconds of the mutex watershed, and of its clusters alone."""
    outputs = {"1": torch.rand(8, 128, 128, generator=torch.Generator().manual_seed(0)) / 4}
    affinities = embedding_affinities(outputs["1"], OFFSETS, bandwidth=0.5).numpy()
    edges = signed_edges(affinities, np.ones((128, 128), bool), OFFSETS)
    whole = least(lambda: mutex_watershed(outputs))
    part = least(lambda: mutex_clusters(*edges, 128**2))
    print(f"{whole:.0f} ms, of which clusters {part:.0f} ms")


def strings() -> None:
    """Print the milliseconds of a crop's masks, by us and by pycocotools."""
    size_hw, rng = (3000, 4000), np.random.default_rng(0)
    masks = np.zeros((170, *size_hw), bool)
    for mask in masks:
        top, left = rng.integers(0, 2500), rng.integers(0, 3500)
        small = ndimage.gaussian_filter(rng.random((50, 50)), 6) > 0.5
        mask[top : top + 500, left : left + 500] = np.kron(small, np.ones((10, 10), bool))
    counts = encode(masks)
    del masks
    here = np.arange(1000, 1512)
    objects: Any = [{"size": list(size_hw), "counts": one.encode()} for one in counts]

    def theirs() -> np.ndarray:
        return np.stack([coco.decode(one)[1000:1512, 1000:1512] for one in objects]).view(bool)

    assert np.array_equal(decode_sampled(counts, size_hw, here, here), theirs())
    ours = least(lambda: decode_sampled(counts, size_hw, here, here))
    print(f"170 masks at a crop: ours {ours:.1f} ms, ", end="")
    print(f"pycocotools {least(theirs):.0f} ms")


def main() -> None:
    """Print a row an objective."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--instances", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=list(NAMES))
    parser.add_argument("--others", action="store_true")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.others:
        show_others()
        return
    if options.one:
        choose_way(options.one[1])
        print(json.dumps(measure(options.one[0], options)))
        return
    print(f"{'objective':20} {'student':>8} {'kernels':>8} {'torch':>8} {'no kernel':>10}")
    for name in options.only:
        found = {way: [] for way in WAYS}
        networks = []
        for _ in range(options.rounds):
            for way in WAYS:
                network, terms = run(name, way, options)
                networks.append(network)
                found[way].append(terms)
        student = median(networks)
        ours, plain = (median(found[way]) for way in WAYS)
        more = 100 * (plain - ours) / (student + ours)
        print(f"{name:20} {student:8.0f} {ours:8.1f} {plain:8.1f} {more:+8.1f} %", flush=True)


if __name__ == "__main__":
    main()
