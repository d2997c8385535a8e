"""Harmonic embeddings: Kulikov and Lempitsky 2020 (arXiv 1904.05257).

At every pixel the embedding regresses its instance's mean of the guides: fixed sinusoids of the
position in the image. The paper first fits the guides to label maps (`fit_guides`; its result is an
option) and shows them to the network. Departures:
- the student does not see the guides. It learns positions from its padding and its global context,
  and cannot place high frequencies; so these are kept few by default;
- guides that are not given are drawn at random, as at the start of the paper's fit;
- the authors' fit skips the last instance of every map and takes the background for one; this one
  takes every instance and nothing else.
Instances with the same mean cannot be told apart: concentric rings, and large instances under high
frequencies. A pixel that may belong to two instances regresses the median of their targets, where
there is no instance.
"""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import Head, Level, level_name
from maskspace.mask_losses.masks import at_least_float32, mean_over_maps
from maskspace.objectives.foreground import FOREGROUND, foreground_head, foreground_term
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import Instances, instances
from maskspace.targets import labels_at

#: A guide is sin(a X + b Y + phase), X and Y from 0 to 1 over the image: (a, b, phase).
Guide = tuple[float, float, float]
Weighting = Literal["logarithm", "cube_root", "size"]


def harmonic(
    *,
    guides: tuple[Guide, ...] | None = None,
    number: int = 12,
    spread: float = 40.0,
    seed: int = 0,
    weighting: Weighting = "logarithm",
    gain: float = 10.0,
    boundary_weight: float = 0.0,
    background: bool = True,
    bandwidth: float = 0.5,
    stride: int = 1,
    foreground: float = 1.0,
) -> Objective:
    """Return the objective; see `regression`. Each guide takes a channel.

    Args:
        guides: the guides sin(a x + b y + phase) as (a, b, phase), in radians per side of the
            image; None: those of `random_guides` (default None).
        number: guides that are drawn at random, where none are given (default 12).
        spread: their frequencies lie in +-`spread` / 2 radians per side (default 40).
        seed: of the drawing (default 0).
        weighting: weight of a pixel by the size n of its instance: "logarithm" for 1 / log n,
            "cube_root" for n^(-1/3), "size" for 1 / n (default "logarithm").
        gain: factor of all weights (default 10).
        boundary_weight: weight of the term `boundary`; 0: no such term (default 0; 10 in the
            paper's run on leaves).
        background: whether the background has a target too, as if it were one instance
            (default True).
        bandwidth: the decoder's, a distance of embeddings; also the one that `fit_guides` asks for
            (default 0.5).
        stride: pixels in the side of a cell of the embedding (default 1).
        foreground: weight of the term of the head `foreground`; 0: no such head (default 1).

    Example:
        >>> objective = harmonic()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'foreground'], 'mean_shift')
    """
    chosen = random_guides(number, spread=spread, seed=seed) if guides is None else guides
    cost = partial(regression, weighting=weighting, gain=gain, boundary_weight=boundary_weight)

    def terms(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        embedding, cells = outputs[str(stride)], labels_at(labels, stride)
        target = guide_targets(grouped(cells, background=background), chosen)
        costs = cost(embedding, target, cells, background=background)
        if foreground > 0:
            costs[FOREGROUND] = foreground * foreground_term(outputs, labels, stride=stride)
        return costs

    heads: dict[str, Head] = {level_name(stride): Level(channels=len(chosen), stride=stride)}
    if foreground > 0:
        heads[FOREGROUND] = foreground_head(stride=stride)
    decoder = Choice(name="mean_shift", options={"bandwidth": bandwidth, "kernel": "flat"})
    return Objective.of_label_maps(heads=heads, terms=terms, decoder=decoder)


def regression(
    embedding: Float[Tensor, "b c h w"],
    target: Float[Tensor, "b c h w"],
    labels: Int[Tensor, "b h w"],
    *,
    background: bool = True,
    weighting: Weighting = "logarithm",
    gain: float = 10.0,
    boundary_weight: float = 0.0,
) -> dict[str, Float[Tensor, ""]]:
    """Return the terms `regression` and, with a `boundary_weight` above 0, `boundary`.

    regression = mean_p w_p mean_i |x_{p,i} - target_{p,i}| over the pixels of instances, and of the
    background if asked, then over the images with an instance. With n >= 2 the size of the pixel's
    instance, w_p is gain / log n, gain / n^(1/3) or gain / n (`weighting`). boundary is the part of
    regression on pixels within two of a boundary. A constant output is a stationary point only at
    the weighted median of all targets of the batch.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> target = guide_targets(labels, random_guides(4))
        >>> regression(target, target, labels)["regression"].item()
        0.0
    """
    groups = grouped(labels, background=background)
    grouped_pixels = instances(embedding[:, :1], groups)
    error = (at_least_float32(embedding) - target).abs().mean(1)
    weight = torch.zeros_like(error)
    if grouped_pixels.counts.shape[1]:
        sizes = grouped_pixels.counts.gather(1, grouped_pixels.slot).view_as(error)
        weight = torch.where(groups > 0, gain * _of_size(sizes, weighting), 0.0)
    some = (labels > 0).flatten(1).any(1).to(error.dtype)
    number = (groups > 0).sum((1, 2)).clamp(min=1)
    terms = {"regression": mean_over_maps((weight * error).sum((1, 2)) / number, some)}
    if boundary_weight > 0:
        near = torch.where(near_boundary(labels), weight * error, 0.0).sum((1, 2)) / number
        terms["boundary"] = boundary_weight * mean_over_maps(near, some)
    return terms


def grouped(labels: Int[Tensor, "b h w"], *, background: bool) -> Int[Tensor, "b h w"]:
    """Return labels above 0 for what has a target, the background as one instance or as none.

    Example:
        >>> labels = torch.tensor([[[0, 1, -1]]])
        >>> grouped(labels, background=True).tolist(), grouped(labels, background=False).tolist()
        ([[[1, 2, 0]]], [[[0, 1, 0]]])
    """
    return labels + 1 if background else labels.clamp(min=0)


def guide_targets(
    labels: Int[Tensor, "b h w"], guides: tuple[Guide, ...]
) -> Float[Tensor, "b c h w"]:
    """Return for every pixel the mean of each guide over its instance; meaningless off instances.

    In float32: a target is no output.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> target = guide_targets(labels, random_guides(4))
        >>> torch.equal(target[..., 0], target[..., 1])  # one target an instance
        True
    """
    groups = guide_means(labels, torch.tensor(guides, device=labels.device))
    return spread_over_pixels(groups, groups.means, labels)


def guide_means(labels: Int[Tensor, "b h w"], guides: Float[Tensor, "c 3"]) -> Instances:
    """Return the instances of label maps with the means of the guides.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> guide_means(labels, torch.tensor(random_guides(4))).means.shape  # b n c
        torch.Size([1, 2, 4])
    """
    xy = unit_coordinates(labels)
    phase = torch.einsum("ck,khw->chw", guides[:, :2], xy.to(guides.dtype))
    field = torch.sin(phase + guides[:, 2, None, None])
    return instances(field.expand(len(labels), -1, -1, -1), labels)


def spread_over_pixels(
    groups: Instances, values: Float[Tensor, "b n c"], labels: Int[Tensor, "b h w"]
) -> Float[Tensor, "b c h w"]:
    """Return each pixel's instance's value; 0 everywhere if there is no instance.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> groups = instances(labels[:, None].float(), labels)
        >>> spread_over_pixels(groups, torch.tensor([[[5.0], [7.0]]]), labels).tolist()
        [[[[5.0, 5.0, 7.0, 7.0]]]]
    """
    if values.shape[1] == 0:
        return values.new_zeros(len(labels), values.shape[2], *labels.shape[1:])
    index = groups.slot[..., None].expand(-1, -1, values.shape[2])
    return values.gather(1, index).transpose(1, 2).unflatten(2, labels.shape[1:])


def unit_coordinates(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "2 h w"]:
    """Return the x and y of every cell of a map, 0 in the first column or row and 1 in the last.

    Example:
        >>> unit_coordinates(torch.zeros(1, 2, 3, dtype=torch.long)).tolist()
        [[[0.0, 0.5, 1.0], [0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]]
    """
    rows, columns = (torch.linspace(0, 1, side, device=labels.device) for side in labels.shape[1:])
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def near_boundary(labels: Int[Tensor, "b h w"]) -> Bool[Tensor, "b h w"]:
    """Return the pixels within two of one that has a neighbour of another label, of the eight.

    Example:
        >>> near_boundary(torch.tensor([[[1, 1, 1, 1, 1, 2, 2]]])).int().tolist()
        [[[0, 0, 1, 1, 1, 1, 1]]]
    """
    wide = labels[:, None].double()  # exact
    largest, smallest = (
        sign * F.max_pool2d(sign * wide, 3, stride=1, padding=1) for sign in (1, -1)
    )
    return (F.max_pool2d((largest != smallest).float(), 5, stride=1, padding=2) > 0)[:, 0]


def random_guides(number: int, *, spread: float = 40.0, seed: int = 0) -> tuple[Guide, ...]:
    """Return guides along one axis each, the first half along x.

    Frequencies are uniform in +-spread / 2, in radians per side of the image; phases are uniform in
    [0, 1].

    Example:
        >>> [f"{a:.1f} {b:.1f}" for a, b, _ in random_guides(2)]  # one guide of x, one of y
        ['-0.1 0.0', '0.0 -16.5']
    """
    drawn = torch.rand(number, 2, generator=torch.Generator().manual_seed(seed)).tolist()
    frequencies = [((u - 0.5) * spread, phase) for u, phase in drawn]
    return tuple(
        (f, 0.0, phase) if i < number / 2 else (0.0, f, phase)
        for i, (f, phase) in enumerate(frequencies)
    )


def fit_guides(
    labels: Int[Tensor, "b h w"],
    *,
    number: int = 12,
    spread: float = 40.0,
    seed: int = 0,
    distance: float = 0.5,
    rate: float = 100.0,
    steps: int = 400,
) -> tuple[Guide, ...]:
    """Return guides under which the instances of label maps have means apart: the paper's fit.

    Gradient descent on the mean over pairs of instances of an image of
    [distance - |t_a - t_b|^2]+, in the squared distance as the authors' code. Each guide keeps its
    axis. Begins at `random_guides`; these, where no image has two instances.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> start = guide_means(labels, torch.tensor(random_guides(2)))
        >>> guides = fit_guides(labels, number=2, steps=5, rate=0.1)
        >>> fitted = guide_means(labels, torch.tensor(guides))
        >>> bool(crowding(fitted, 0.5) <= crowding(start, 0.5))
        True
    """
    guides = torch.tensor(random_guides(number, spread=spread, seed=seed), device=labels.device)
    free = torch.ones_like(guides).masked_fill(guides == 0, 0.0)
    for _ in range(steps):
        guides = guides.detach().requires_grad_()
        cost = crowding(guide_means(labels, guides), distance)
        (slope,) = torch.autograd.grad(cost, guides)
        guides = guides - rate * free * slope
    return tuple((a, b, phase) for a, b, phase in guides.detach().tolist())


def crowding(groups: Instances, distance: float) -> Float[Tensor, ""]:
    """Return the mean over pairs of one image of [distance - |t_a - t_b|^2]+; 0 without a pair.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> same = instances(torch.zeros(1, 1, 1, 4), labels)
        >>> crowding(same, 0.5).item()
        0.5
    """
    apart = (groups.means[:, :, None] - groups.means[:, None]).square().sum(-1)  # b n n
    pairs = (groups.present[:, :, None] & groups.present[:, None]).triu(diagonal=1)
    short = torch.where(pairs, (distance - apart).clamp(min=0), 0.0)
    return short.sum() / pairs.sum().clamp(min=1)


def _of_size(sizes: Float[Tensor, "b h w"], weighting: Weighting) -> Float[Tensor, "b h w"]:
    """Return the weight of a pixel whose instance has this size."""
    if weighting == "logarithm":
        return 1 / sizes.clamp(min=2).log()
    return sizes.clamp(min=1) ** (-1 / 3 if weighting == "cube_root" else -1)
