"""Spatial embeddings with learnt bandwidths: Neven et al. 2019 (arXiv 1906.11109).

Pixels point at their instance's centre. An instance is where a Gaussian around that centre is above
one half; its width is the mean of what the instance's pixels say. The scale exp(10 x) of raw
bandwidths is that of the authors' code. EmbedSeg (Lalit et al. 2022, MedIA 81) differs by its rules
for centres, see `centres`.
"""

from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import DenseMap, Level
from maskspace.kernels.takes import kernels_take
from maskspace.mask_losses.lovasz import jaccard_extension
from maskspace.mask_losses.masks import at_least_float32, mean_over_known
from maskspace.objectives.centres import CENTRES
from maskspace.objectives.gaussian_maps import gaussian_costs
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.pixels import (
    Instances,
    instances,
    mean_over_instances,
    mean_over_present,
    shares,
)
from maskspace.objectives.tiles import sum_over_tiles

Centre = Literal["mean", "learnt", "centroid", "approximate_medoid", "medoid"]

#: A raw bandwidth of x means a Gaussian exp(-exp(SCALE x) d^2).
SCALE = 10.0
#: Where a mean raw bandwidth is held: exp(30) d^2 is finite in float32 for any d in an image.
RAW_LIMIT = 3.0
#: Pixels times instances whose Gaussians are held at once: one instance of a megapixel.
CHUNK = 2**20


def spatial_embedding(
    *,
    centre: Centre = "mean",
    bandwidths: Literal[1, 2] = 1,
    pixels_per_unit: float = 1023.0,
    instance_weight: float = 1.0,
    smoothness_weight: float = 10.0,
    seed_weight: float = 1.0,
    foreground_weight: float = 10.0,
) -> Objective:
    """Return the objective; see `spatial_terms`.

    The heads are "1" (tanh plus position), `bandwidth` and `seed`, as in the paper. Offsets begin
    at 0, and Gaussians as exp(-exp(10) d^2), which is above one half within 0.0056 units. With the
    paper's unit that is 5.7 pixels, and an offset reaches across a crop of up to about a thousand
    pixels. A smaller unit shrinks both: with 64 pixels to the unit the first Gaussian would hold
    less than a pixel.

    Args:
        centre: the centre of an instance: "mean" of its pixels' positions, "learnt" (the mean of
            their embeddings), "centroid", "approximate_medoid" or "medoid" (default "mean").
        bandwidths: 1 for round Gaussians, 2 for one bandwidth in x and one in y (default 1).
        pixels_per_unit: pixels in a unit of the embedding (default 1023).
        instance_weight: weight of the term `instance` (default 1).
        smoothness_weight: weight of the term `smoothness` (default 10).
        seed_weight: weight of the term `seed` (default 1).
        foreground_weight: weight of pixels on instances within the term `seed`; that of the
            background is 1 (default 10).

    Example:
        >>> objective = spatial_embedding()
        >>> sorted(objective.heads), objective.decoder.name
        (['1', 'bandwidth', 'seed'], 'sequential_gaussian')
    """
    return Objective.of_label_maps(
        heads={
            "1": Level(
                channels=2,
                activation="tanh",
                position="add",
                unit=pixels_per_unit,
                bias=(0.0, 0.0),
            ),
            "bandwidth": DenseMap(channels=bandwidths, bias=(1.0,) * bandwidths),
            "seed": DenseMap(channels=1, activation="sigmoid"),
        },
        terms=partial(
            spatial_terms,
            centre=centre,
            pixels_per_unit=pixels_per_unit,
            instance_weight=instance_weight,
            smoothness_weight=smoothness_weight,
            seed_weight=seed_weight,
            foreground_weight=foreground_weight,
        ),
        decoder=Choice(name="sequential_gaussian", options={"seed_threshold": 0.9, "cut": 0.5}),
    )


def spatial_terms(
    outputs: Outputs,
    labels: Int[Tensor, "b h w"],
    *,
    centre: Centre = "mean",
    pixels_per_unit: float = 1023.0,
    instance_weight: float = 1.0,
    smoothness_weight: float = 10.0,
    seed_weight: float = 1.0,
    foreground_weight: float = 10.0,
) -> Terms:
    """Return the terms `instance`, `smoothness` and `seed`, weighted.

    With e the embedding, C_k the centre of instance k (`learnt`: the mean of its e), b_k the mean
    of its raw bandwidths and phi_k(p) = exp(-sum_d exp(10 b_kd) (e_pd - C_kd)^2):
    instance = mean_k Lovász hinge(2 phi_k - 1, mask_k) over all known pixels, in [0, 2];
    smoothness = mean_k mean_{p in k, d} (b_pd - b_kd)^2, b_k detached;
    seed = mean over known pixels of seed_p^2 on the background and of `foreground_weight` times
    (seed_p - phi_own(p))^2, phi detached, on instances.
    Gaussians so wide that phi is 1 everywhere cost 2 (1 - n_k / N), so narrow that it is 0, 2: on
    these plateaus only `smoothness` and `seed` have a gradient, as where mean bandwidths leave
    [-3, 3]. The memory does not grow with the number of instances.

    Example:
        >>> labels = torch.tensor([[[1, 1, 0, 0]]])
        >>> outputs = {
        ...     "1": 9.0 * (labels > 0)[:, None].expand(-1, 2, -1, -1).float(),
        ...     "bandwidth": torch.zeros(1, 1, 1, 4),
        ...     "seed": (labels > 0)[:, None].float()}
        >>> terms = spatial_terms(outputs, labels, centre="learnt")
        >>> {name: round(value.item(), 3) for name, value in terms.items()}
        {'instance': 0.0, 'smoothness': 0.0, 'seed': 0.0}
    """
    groups = instances(outputs["1"], labels)
    raw = instances(outputs["bandwidth"], labels)
    centres = groups.means
    if centre != "learnt":
        centres = CENTRES[centre](labels).to(centres) / pixels_per_unit
    sharpness = (SCALE * raw.means.clamp(-RAW_LIMIT, RAW_LIMIT)).exp().expand_as(centres)
    known = labels.flatten(1) >= 0
    spread = (raw.pixels - _own(raw.means.detach(), groups)).square().mean(-1)
    smooth = mean_over_instances(spread, groups) if groups.counts.numel() else groups.counts
    away = (groups.pixels - _own(centres, groups)).square() * _own(sharpness, groups)
    own = torch.where(groups.labelled, (-away.sum(-1)).exp(), 0.0).detach()
    seed = (at_least_float32(outputs["seed"]).flatten(1) - own).square()
    seed = torch.where(groups.labelled, foreground_weight * seed, seed)
    per_image = mean_over_known(seed[:, None], known[:, None])
    cost = instance_cost(groups, centres, sharpness, known, shares(groups)).sum()
    return {
        "instance": instance_weight * cost,
        "smoothness": smoothness_weight * mean_over_present(smooth, groups),
        "seed": seed_weight * per_image.sum() / known.any(1).sum().clamp(min=1),
    }


def instance_cost(
    groups: Instances,
    centres: Float[Tensor, "b n 2"],
    sharpness: Float[Tensor, "b n 2"],
    known: Bool[Tensor, "b p"],
    weight: Float[Tensor, "b n"],
    *,
    chunk: int = CHUNK,
) -> Float[Tensor, " b"]:
    """Return each image's weighted sum of the Lovász hinges of its instances' Gaussians.

    Instances of an image are taken `chunk` values at a time.

    Example:
        >>> labels = torch.tensor([[[1, 1, 0, 0]]])
        >>> groups = instances(9.0 * (labels > 0)[:, None].expand(-1, 2, -1, -1).float(), labels)
        >>> sharpness, known = torch.ones(1, 1, 2), torch.ones(1, 4, dtype=torch.bool)
        >>> round(instance_cost(groups, groups.means, sharpness, known, shares(groups)).item(), 3)
        0.0
    """
    if weight.shape[1] == 0:
        return groups.pixels.sum((1, 2)) * 0.0
    column = torch.arange(weight.shape[1], device=weight.device).expand_as(weight)
    size = max(1, chunk // max(1, known.shape[1]))
    if kernels_take(groups.pixels):
        return gaussian_costs(groups, centres, sharpness, known, weight, chunk=size)
    slot = torch.where(groups.labelled, groups.slot, -1)
    images = zip(
        *(x.split(1) for x in (centres, sharpness, column, weight, groups.pixels, slot, known)),
        strict=True,
    )
    return torch.cat([sum_over_tiles(_hinge, image[:4], image[4:], size=size) for image in images])


def _hinge(
    centre: Float[Tensor, "b n 2"],
    sharpness: Float[Tensor, "b n 2"],
    column: Int[Tensor, "b n"],
    weight: Float[Tensor, "b n"],
    pixels: Float[Tensor, "b p 2"],
    slot: Int[Tensor, "b p"],
    known: Bool[Tensor, "b p"],
) -> Float[Tensor, " b"]:
    true = slot[:, None] == column[..., None]  # b n p
    # differences, not a product of matrices: the exponent is large and its terms cancel
    across, down = (
        (pixels[:, None, :, axis] - centre[..., axis, None]).square() * sharpness[..., axis, None]
        for axis in (0, 1)
    )
    inside = (-across - down).exp()
    errors = 2 * torch.where(true, 1 - inside, inside)
    maps = (errors, true, known[:, None].expand_as(true))
    losses = jaccard_extension(*(x.flatten(0, 1)[:, None] for x in maps))
    return (losses.view_as(weight) * weight).sum(1)


def _own(values: Float[Tensor, "b n d"], groups: Instances) -> Float[Tensor, "b p d"]:
    """Return what each pixel's own instance has; of no instance, anything."""
    if values.shape[1] == 0:
        return values.new_zeros(*groups.slot.shape, values.shape[2])
    return torch.gather(values, 1, groups.slot[..., None].expand(-1, -1, values.shape[2]))
