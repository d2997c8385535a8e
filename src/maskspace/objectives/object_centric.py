"""Object-centric embeddings, learnt without labels: Cellulus, Wolf et al. 2023 (arXiv 2310.08501).

Every pixel predicts an offset, and pixels near each other should then lie at the same place. That
is possible only where a pixel's offset tells its position relative to its neighbours, which is so
inside an object and not across objects. The network must have a small receptive field and must not
know where in the image it is: one that knows can send all pixels to one point, the least cost.
"""

import math
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Level
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import EPSILON
from maskspace.objectives.positions import positions


def object_centric(
    *,
    object_size: float = 20.0,
    kappa: float = 10.0,
    temperature: float = 10.0,
    density: float = 0.1,
    offset_weight: float = 1e-5,
    regularised: Literal["offset", "embedding"] = "offset",
    reduction: Literal["mean", "sum"] = "mean",
) -> Objective:
    """Return the objective; see `object_centric_terms`.

    Nothing says what is foreground. The paper takes that from how much the embedding varies over
    distorted copies of the image, which takes several runs of the network.

    Args:
        object_size: diameter of objects in pixels; half of it is the decoder's bandwidth
            (default 20).
        kappa: radius in pixels within which pairs of pixels are drawn (default 10).
        temperature: squared distance in pixels at which a pair costs 1 - 1/e (default 10).
        density: share of the pixels that are drawn, as anchors and around each anchor
            (default 0.1).
        offset_weight: weight of the term `regularisation` (default 1e-5).
        regularised: whose length that term takes: "offset" or, as in the authors' code, "embedding"
            (default "offset").
        reduction: "mean" over pairs, or "sum" as in the authors' code (default "mean").

    Example:
        >>> objective = object_centric()
        >>> sorted(objective.heads), objective.decoder.name
        (['1'], 'mean_shift')
    """
    return Objective.of_label_maps(
        heads={"1": Level(channels=2, position="add")},
        terms=partial(
            object_centric_terms,
            kappa=kappa,
            temperature=temperature,
            density=density,
            offset_weight=offset_weight,
            regularised=regularised,
            reduction=reduction,
        ),
        decoder=Choice(
            name="mean_shift", options={"bandwidth": 0.5 * object_size, "kernel": "flat"}
        ),
    )


def object_centric_terms(
    outputs: Outputs,
    labels: Int[Tensor, "b h w"],
    *,
    kappa: float = 10.0,
    temperature: float = 10.0,
    density: float = 0.1,
    offset_weight: float = 1e-5,
    regularised: Literal["offset", "embedding"] = "offset",
    reduction: Literal["mean", "sum"] = "mean",
) -> Terms:
    """Return the terms `agreement` and `regularisation`; labels give nothing but their shape.

    agreement: of pairs of an anchor a and a reference r, the mean of
    1 - exp(-|e_a - e_r|^2 / temperature), e_r detached; in [0, 1]. `density` times the image's
    pixels are anchors, drawn `kappa` pixels from its edge where it is that large; for each of them
    `density` times the pixels of a disc of radius `kappa` are references.
    regularisation: `offset_weight` times the mean over the same pairs of |o_a|, or of |e_a|, as
    the authors' code has it. They sum over pairs, images too (`reduction` of `sum`), which ties
    the learning rate to the size and number of crops; here the default is the mean.
    Embeddings that are all equal cost 0, the least, and are stationary; offsets that are all equal
    cost 0.91 with the defaults.

    Example:
        >>> labels = torch.zeros(1, 8, 8, dtype=torch.long)
        >>> same = {"1": torch.zeros(1, 2, 8, 8)}  # all pixels at one place: the least cost
        >>> object_centric_terms(same, labels, kappa=2.0)["agreement"].item()
        0.0
    """
    anchors, references, is_inside = anchor_pairs(labels, kappa=kappa, density=density)
    place = positions(labels).to(outputs["1"].device).flatten(2).transpose(1, 2)
    embedding = at_least_float32(outputs["1"]).flatten(2).transpose(1, 2)  # b p 2
    near = _at(embedding, anchors)
    far = _at(embedding.detach(), references.flatten(1)).view(*references.shape, 2)
    away = (near[:, :, None] - far).square().sum(-1)
    cost = torch.where(is_inside, 1 - (-away / temperature).exp(), 0.0)
    shown = near - _at(place, anchors).to(near) if regularised == "offset" else near
    size = (shown.square().sum(-1) + EPSILON).sqrt() * is_inside.sum(2)
    number = is_inside.sum().clamp(min=1) if reduction == "mean" else 1
    return {
        "agreement": cost.sum() / number,
        "regularisation": offset_weight * size.sum() / number,
    }


def anchor_pairs(
    labels: Int[Tensor, "b h w"], *, kappa: float, density: float
) -> tuple[Int[Tensor, "b a"], Int[Tensor, "b a r"], Bool[Tensor, "b a r"]]:
    """Return pixels of anchors and of their references, and which references the image holds.

    Drawn on the CPU, whose generator makes the same numbers for every device.

    Example:
        >>> labels = torch.zeros(1, 8, 8, dtype=torch.long)
        >>> anchors, references, is_inside = anchor_pairs(labels, kappa=2.0, density=0.5)
        >>> anchors.shape[1], references.shape[2]  # half of 16 anchors, half of a disc of 13 pixels
        (8, 6)
    """
    batch, height, width = labels.shape
    margins = [min(math.ceil(kappa), (side - 1) // 2) for side in (height, width)]
    rows, columns = (
        torch.arange(margin, side - margin)
        for side, margin in zip((height, width), margins, strict=True)
    )
    number = max(1, round(density * len(rows) * len(columns)))
    row = rows[torch.randint(len(rows), (batch, number))]
    column = columns[torch.randint(len(columns), (batch, number))]
    reach = torch.arange(-math.floor(kappa), math.floor(kappa) + 1)
    disc = torch.cartesian_prod(reach, reach)
    size = disc.square().sum(1)
    disc = disc[(size > 0) & (size <= kappa**2)]  # y x
    each = max(1, round(density * math.pi * kappa**2))
    step = disc[torch.randint(len(disc), (batch, number, each))]
    y, x = row[..., None] + step[..., 0], column[..., None] + step[..., 1]
    is_inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    references = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    device = labels.device
    return (row * width + column).to(device), references.to(device), is_inside.to(device)


def _at(values: Float[Tensor, "b p 2"], index: Int[Tensor, "b m"]) -> Float[Tensor, "b m 2"]:
    return values.gather(1, index[..., None].expand(-1, -1, 2))
