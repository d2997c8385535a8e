"""Objectives against the naive loop over instances, forward and backward, in the same run.

    python -m benchmarks.objectives

Prints milliseconds a step of each and the ratio loop/vectorised, at 256 x 256, 4 images, 64
instances an image, one thread.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from maskspace.objectives import OBJECTIVES

SIDE, BATCH, INSTANCES, CHANNELS = 256, 4, 64, 3


def loop_balls(embedding: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the terms of `balls`, an instance at a time."""
    images = []
    for x, y in zip(embedding, labels, strict=True):
        total = x.sum() * 0
        present = y.unique()
        present = present[present != 0]
        for label in present:
            inside = y == label
            mean = x[:, inside].mean(1)[:, None, None]
            distance = ((x - mean).square().mean(0) + 1e-12).sqrt()
            total = total + (distance[inside] - 0.1).clamp(min=0).mean()
            total = total + (0.3 - distance[~inside]).clamp(min=0).mean()
        images.append(total / len(present))
    return torch.stack(images).mean()


def loop_instance_softmax(embedding: Tensor, labels: Tensor) -> Tensor:
    """Return `instance_softmax`, an instance at a time."""
    images = []
    for x, y in zip(embedding, labels, strict=True):
        present = y.unique()
        present = present[present != 0]
        means = [x[:, y == label].mean(1)[:, None, None] for label in present]
        logits = torch.stack([(x - mean).square().mean(0) / (-2 * 0.1**2) for mean in means])
        log = logits.log_softmax(0)
        costs = [-log[i][y == label].mean() for i, label in enumerate(present)]
        images.append(torch.stack(costs).mean())
    return torch.stack(images).mean()


def milliseconds(objective: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Return the median time of forward and backward."""
    generator = torch.Generator().manual_seed(0)
    embedding = torch.rand(BATCH, CHANNELS, SIDE, SIDE, generator=generator, requires_grad=True)
    cells = torch.arange(SIDE) // (SIDE // 8)
    labels = (cells[:, None] * 8 + cells[None] + 1).expand(BATCH, SIDE, SIDE)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        objective(embedding, labels).backward()
        times.append(time.perf_counter() - start)
    return median(times[1:]) * 1e3


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    loops = {"balls": loop_balls, "instance_softmax": loop_instance_softmax}
    print("objective           loop ms  vectorised ms  loop/vectorised")
    for name, loop in loops.items():
        function = OBJECTIVES[name]
        ours = milliseconds(lambda x, y, f=function: torch.stack(list(f(x, y).values())).sum())
        theirs = milliseconds(loop)
        print(f"{name:18} {theirs:8.0f} {ours:14.0f} {theirs / ours:16.1f}")


if __name__ == "__main__":
    main()
