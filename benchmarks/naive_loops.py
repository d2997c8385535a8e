"""Objectives as one would write them first: an instance, an image and a level at a time.

What `benchmarks.objectives` compares them with; `LOOPS` are those of the embedding objectives. Each
has the same value as its objective, which the benchmark checks.
"""

from collections.abc import Callable, Mapping
from functools import partial
from math import log

import torch
from torch import Tensor

from maskspace.config import Choice
from maskspace.mask_losses import MaskLoss, cut_levels
from maskspace.objectives import Objective
from maskspace.objectives.foreground import BESIDE_DISTANCES, foreground_term
from maskspace.objectives.objective import LEVEL_WEIGHTS, colours
from maskspace.objectives.samples import sample_instances
from maskspace.targets import Targets

Outputs = Mapping[str, Tensor]
#: The outputs of the heads and the labels of a batch -> what is minimised.
Loss = Callable[[Outputs, Tensor], Tensor]
#: An image's embedding, its labels and those of its instances -> what it costs.
Loop = Callable[[Tensor, Tensor, list[int]], Tensor]


def loop_balls(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `balls`, an instance at a time."""
    total = x.sum() * 0
    for label in present:
        inside = y == label
        distance = distance_to(x, x[:, inside].mean(1))
        total = total + (distance[inside] - 0.1).clamp(min=0).mean()
        total = total + (0.3 - distance[~inside]).clamp(min=0).mean()
    return total / len(present)


def loop_plain(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `plain`, an instance at a time."""
    total = x.sum() * 0
    for label in present:
        inside = y == label
        distance = distance_to(x, x[:, inside].mean(1))
        total = total + distance[inside].mean() - distance[~inside].mean()
    return total / len(present)


def loop_softmax(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the term of `instance_softmax`, an instance at a time."""
    squares = [distance_to(x, x[:, y == label].mean(1)).square() for label in present]
    log = (torch.stack(squares) / (-2 * 0.1**2)).log_softmax(0)
    costs = [-log[i][y == label].mean() for i, label in enumerate(present)]
    return torch.stack(costs).mean()


def loop_discriminative(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `discriminative` without the foreground's, an instance at a time."""
    means = [x[:, y == label].mean(1) for label in present]
    total = x.sum() * 0
    for label, mean in zip(present, means, strict=True):
        distance = distance_to(x, mean)[y == label]
        total = total + (distance - 0.5).clamp(min=0).square().mean() + 0.001 * mean.norm()
    return total / len(present) + push_by_pairs(means)


def push_by_pairs(means: list[Tensor]) -> Tensor:
    """Return the mean over ordered pairs of [3 - |mu_a - mu_b|]+^2, a pair at a time."""
    push = torch.stack(means).sum() * 0
    for one in range(len(means)):
        for other in range(len(means)):
            if one != other:
                push = push + (3 - (means[one] - means[other]).norm()).clamp(min=0).square()
    return push / max(1, len(means) * (len(means) - 1))


def loop_anchor(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the terms of `anchor_mask` without the foreground's, an instance at a time."""
    costs = []
    for label, anchor in zip(present, anchors(x, y), strict=True):
        inside = y == label
        phi = (distance_to(x, anchor).square() * (-log(2) / 0.5**2)).exp()
        shared, total = 2 * phi[inside].sum() + 1, phi.square().sum() + inside.sum() + 1
        costs.append(1 - shared / total)
    return torch.stack(costs).mean() + loop_discriminative(x, y, present)


def anchors(x: Tensor, y: Tensor) -> Tensor:
    """Return a pixel of each instance, the one that the objective draws next."""
    return sample_instances(x[None], y[None], number=1).features[0, :, 0]


def loop_semi(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return the terms of `semi_convolutional`, an instance at a time."""
    images = []
    for x, raw, y in zip(outputs["1"], outputs["scale"], labels, strict=True):
        pull, kernel, means = [], [], []
        present = [label for label in y.unique().tolist() if label > 0]
        for label, seed in zip(present, anchors(x, y), strict=True):
            inside = y == label
            means.append(x[:, inside].mean(1))
            pull.append(distance_to(x, means[-1])[inside].mean())
            distance = distance_to(x, seed) / raw.exp()
            outside = -(1 - (-distance.clamp(min=1e-6)).exp()).log()
            kernel.append(torch.where(inside, distance, outside).mean())
        images.append(torch.stack(pull).mean() + torch.stack(kernel).mean() + push_by_pairs(means))
    return torch.stack(images).mean() + BESIDE_DISTANCES * foreground_term(outputs, labels)


def loop_lovasz(x: Tensor, y: Tensor, present: list[int]) -> Tensor:
    """Return the term of `lovasz_instances` without the foreground's, an instance at a time."""
    costs = []
    for label in present:
        inside = y == label
        squared = distance_to(x, x[:, inside].mean(1)).square()
        costs.append(hinge_by_sorting((squared / (-2 * 0.5**2)).exp(), inside))
    return torch.stack(costs).mean()


def hinge_by_sorting(phi: Tensor, inside: Tensor) -> Tensor:
    """Return the Lovász hinge of 2 phi - 1 as the paper's code has it."""
    errors, order = torch.where(inside, 2 - 2 * phi, 2 * phi).flatten().sort(descending=True)
    true = inside.flatten()[order].to(phi.dtype)
    shared, union = true.sum() - true.cumsum(0), true.sum() + (1 - true).cumsum(0)
    return (errors * (1 - shared / union).diff(prepend=true.new_zeros(1))).sum()


def loop_spatial(outputs: Outputs, labels: Tensor) -> Tensor:
    """Return the terms of `spatial_embedding`, an instance at a time."""
    images = []
    heads = (outputs["1"], outputs["bandwidth"], outputs["seed"])
    for e, raw, seed, y in zip(*heads, labels, strict=True):
        rows, columns = ((torch.arange(side, device=e.device) + 0.5) / 1023 for side in y.shape)
        place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
        instance, smooth, wanted = [], [], (seed[0].square() * (y == 0)).sum()
        present = y.unique().tolist()
        for label in present:
            if label > 0:
                inside = y == label
                mean, centre = raw[0][inside].mean(), place[:, inside].mean(1)
                squared = (e - centre[:, None, None]).square().sum(0)
                phi = (-(10 * mean).exp() * squared).exp()
                instance.append(hinge_by_sorting(phi, inside))
                smooth.append((raw[0][inside] - mean.detach()).square().mean())
                error = (seed[0] - phi.detach())[inside]
                wanted = wanted + 10 * error.square().sum()
        means = torch.stack(instance).mean() + 10 * torch.stack(smooth).mean()
        images.append(means + wanted / y.numel())
    return torch.stack(images).mean()


def distance_to(x: Tensor, mean: Tensor) -> Tensor:
    """Return the distance of every pixel to one vector."""
    return ((x - mean[:, None, None]).square().sum(0) + 1e-12).sqrt()


def looped(loop: Loop, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return the mean of a loop over the images of a batch."""
    images = []
    for pixels, y in zip(x, labels, strict=True):
        images.append(loop(pixels, y, [label for label in y.unique().tolist() if label > 0]))
    return {"loop": torch.stack(images).mean()}


def of_levels(loop: Loop) -> Loss:
    """Return a loop over every level of the colours."""
    decoder = Choice(name="mean_shift", options={})
    terms = partial(looped, loop)
    return summed(colours(terms, level_weights=LEVEL_WEIGHTS, channels=3, decoder=decoder))


def of_masked(loop: Loop, weight: float, outputs: Outputs, labels: Tensor) -> Tensor:
    """Return a loop over the finest embedding, plus the foreground's term times its weight."""
    return looped(loop, outputs["1"], labels)["loop"] + weight * foreground_term(outputs, labels)


def loop_level_line(base: MaskLoss, logits: Tensor, nest: Tensor) -> Tensor:
    """Return `level_line`, an image and a level at a time."""
    images = []
    for z, masks in zip(logits, nest, strict=True):
        thresholds = torch.tensor(cut_levels(len(masks)), device=z.device).logit()
        costs = [base((z - t)[None], m[None]) for t, m in zip(thresholds, masks, strict=True)]
        images.append(torch.stack(costs).mean())
    return torch.stack(images).mean()


def summed(objective: Objective) -> Loss:
    """Return the sum of an objective's terms as one function."""

    def loss(outputs: Outputs, labels: Tensor) -> Tensor:
        return torch.stack(list(objective.terms(outputs, Targets.of_labels(labels)).values())).sum()

    return loss


LOOPS: dict[str, Loss] = {
    "anchor_mask": partial(of_masked, loop_anchor, BESIDE_DISTANCES),
    "balls": of_levels(loop_balls),
    "discriminative": partial(of_masked, loop_discriminative, BESIDE_DISTANCES),
    "instance_softmax": of_levels(loop_softmax),
    "lovasz_instances": partial(of_masked, loop_lovasz, 1.0),
    "plain": of_levels(loop_plain),
    "position_sensitive": partial(of_masked, loop_discriminative, BESIDE_DISTANCES),
    "semi_convolutional": loop_semi,
    "spatial_embedding": loop_spatial,
}
