"""What machine code pays in a training step of the student, on the CPU.

    python -m benchmarks.kernels [--rounds N] [--side S --batch B --instances N]

For each objective that kernels take part in, and for Lovász losses, the CPU time of one thread, in
milliseconds, of forward and backward of the student and of its terms: by the kernels as they are,
by the same with the exp and log of the C library, and by torch alone. Each way runs in a process
of its own with an empty folder for machine code, in turn; medians of the rounds. The last columns
say by how much a whole step is longer without the own exp and log, and without any kernel.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from functools import partial
from statistics import median

import numpy as np
import torch

from benchmarks.objectives import grid_labels, leaves, milliseconds, student_step, summed
from maskspace.kernels import pairs
from maskspace.kernels.compiled import compiled
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.objectives import OBJECTIVES

#: The first two are the default ones of params.yaml; the last is Lovász and Gaussian maps.
NAMES = ("balls", "instance_softmax", "discriminative", "plain", "semi_convolutional",
         "spatial_embedding")  # fmt: skip
WAYS = ("kernels", "library", "torch")


@compiled
def library_exp_of_minus(x: np.float32) -> np.float32:
    """Return exp(-x) by the C library."""
    return np.float32(np.exp(-x))


@compiled
def library_expm1_of_minus(x: np.float32) -> np.float32:
    """Return exp(-x) - 1 by the C library."""
    return np.float32(np.expm1(-x))


@compiled
def library_log(x: np.float32) -> np.float32:
    """Return log x by the C library."""
    return np.float32(np.log(x))


def choose_way(way: str) -> None:
    """Put functions of another way in place, before anything is compiled."""
    if way == "library":
        pairs._exp_of_minus = library_exp_of_minus
        pairs._expm1_of_minus = library_expm1_of_minus
        pairs._log = library_log
    elif way == "torch":
        for module in list(sys.modules.values()):
            if getattr(module, "kernels_take", None) is not None:
                module.kernels_take = lambda x: False  # pyright: ignore[reportAttributeAccessIssue]


def measure(name: str, options: argparse.Namespace) -> tuple[float, float]:
    """Return the milliseconds of the student's own step, and of the objective's terms."""
    objective = OBJECTIVES[name]()
    torch.manual_seed(0)
    model = build_pixel_embedding(heads={k: asdict(v) for k, v in objective.heads.items()})
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
    print(f"{'objective':20} {'student':>8} {'kernels':>8} {'library':>8} {'torch':>8}"
          f" {'no own exp':>11} {'no kernel':>10}")  # fmt: skip
    for name in options.only:
        found = {way: [] for way in WAYS}
        networks = []
        for _ in range(options.rounds):
            for way in WAYS:
                network, terms = run(name, way, options)
                networks.append(network)
                found[way].append(terms)
        student = median(networks)
        ours, library, plain = (median(found[way]) for way in WAYS)
        more = (100 * (other - ours) / (student + ours) for other in (library, plain))
        print(f"{name:20} {student:8.0f} {ours:8.1f} {library:8.1f} {plain:8.1f}"
              + "".join(f" {value:+9.1f} %" for value in more), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
