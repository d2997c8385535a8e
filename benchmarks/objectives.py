"""Objectives against the naive loop, forward and backward, in the same run.

    python -m benchmarks.objectives

Prints milliseconds a step of each and the ratio loop/vectorised, on one thread: the embedding
objectives at 256 x 256, 4 images, 64 instances an image; the level-line loss of every mask loss at
512 x 512, 4 images, 3 nested masks an image, against a call for each image and level.
"""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from maskspace.objectives import MASK_LOSSES, OBJECTIVES, MaskLoss, level_line, levels_of

SIDE, BATCH, INSTANCES, CHANNELS = 256, 4, 64, 3
MASK_SIDE, LEVELS = 512, 3


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


def loop_level_line(base: MaskLoss, logits: Tensor, nest: Tensor) -> Tensor:
    """Return `level_line`, an image and a level at a time."""
    images = []
    for z, masks in zip(logits, nest, strict=True):
        thresholds = torch.tensor(levels_of(len(masks))).logit()
        costs = [base((z - t)[None], m[None]) for t, m in zip(thresholds, masks, strict=True)]
        images.append(torch.stack(costs).mean())
    return torch.stack(images).mean()


def embeddings() -> tuple[Tensor, Tensor]:
    """Return random embeddings and a grid of square instances."""
    generator = torch.Generator().manual_seed(0)
    embedding = torch.rand(BATCH, CHANNELS, SIDE, SIDE, generator=generator, requires_grad=True)
    cells = torch.arange(SIDE) // (SIDE // 8)
    labels = (cells[:, None] * 8 + cells[None] + 1).expand(BATCH, SIDE, SIDE)
    return embedding, labels


def nests() -> tuple[Tensor, Tensor]:
    """Return random logits and discs that nest, a tenth of their pixels unknown."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, MASK_SIDE, MASK_SIDE)
    logits = torch.randn(shape, generator=generator).requires_grad_()
    place = torch.linspace(-1, 1, MASK_SIDE)
    distance = (place[:, None] ** 2 + place**2).sqrt()
    radii = torch.linspace(0.2, 0.8, LEVELS)[:, None, None]
    unknown = torch.rand(shape, generator=generator)[:, None] < 0.1
    return logits, torch.where(unknown, -1.0, (distance < radii).float())


def milliseconds(
    objective: Callable[[Tensor, Tensor], Tensor], predicted: Tensor, true: Tensor
) -> float:
    """Return the median time of forward and backward."""
    times = []
    for _ in range(4):
        start = time.perf_counter()
        objective(predicted, true).backward()
        times.append(time.perf_counter() - start)
    return median(times[1:]) * 1e3


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    loops = {"balls": loop_balls, "instance_softmax": loop_instance_softmax}
    print("objective           loop ms  vectorised ms  loop/vectorised")
    batch = embeddings()
    for name, loop in loops.items():
        function = OBJECTIVES[name]
        ours = milliseconds(
            lambda x, y, f=function: torch.stack(list(f(x, y).values())).sum(), *batch
        )
        print_row(name, milliseconds(loop, *batch), ours)
    batch = nests()
    for name, base in MASK_LOSSES.items():
        ours, theirs = (
            milliseconds(partial(form, base), *batch) for form in (level_line, loop_level_line)
        )
        print_row(name, theirs, ours)


def print_row(name: str, loop: float, ours: float) -> None:
    """Print a row of the table."""
    print(f"{name:18} {loop:8.0f} {ours:14.0f} {loop / ours:16.1f}")


if __name__ == "__main__":
    main()
