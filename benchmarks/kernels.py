"""What machine code pays in a training step of the student, on the CPU.

    python -m benchmarks.kernels [--rounds N] [--side S --batch B --instances N]

For each objective that kernels take part in, and for Lovász losses, the CPU time of one thread, in
milliseconds, of forward and backward of the student and of its terms: by the kernels and by torch
alone. Each way runs in a process of its own with an empty folder for machine code, in turn;
medians of the rounds. The last column says by how much a whole step is longer without kernels.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from statistics import median

import torch

from benchmarks.objectives import grid_labels, leaves, milliseconds, student_step, summed
from maskspace.heads import heads_as_options
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.objectives import OBJECTIVES

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


def main() -> None:
    """Print a row an objective."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--instances", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=list(NAMES))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
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
