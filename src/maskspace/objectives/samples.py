"""A few pixels of every instance, or of every image, for terms over pairs and triples of pixels.

Uniform numbers are drawn on the CPU, from torch's global generator, so that a seed samples the same
pixels on every device. Samples are spread: the j-th of s lies in the j-th s-th of the pixels, in
the order of rows, so that only neighbours in it can coincide, and of s pixels or 2 s none do.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.pixels import dense_slots


@dataclass(frozen=True)
class Samples:
    """So many pixels of each instance: where they are, and what the embedding has there.

    `pixel` counts in the order of rows; `counts` is the instance's size in pixels, 0 in the columns
    that an image does not use, whose pixels mean nothing.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> drawn = sample_instances(torch.zeros(1, 3, 1, 4), labels, number=2)
        >>> drawn.features.shape, drawn.counts.tolist()
        (torch.Size([1, 2, 2, 3]), [[2, 2]])
    """

    pixel: Int[Tensor, "b n s"]
    features: Float[Tensor, "b n s c"]
    counts: Int[Tensor, "b n"]

    @property
    def present(self) -> Bool[Tensor, "b n"]:
        """Return which columns hold an instance."""
        return self.counts > 0


def sample_instances(
    embedding: Float[Tensor, "b c h w"], labels: Int[Tensor, "b h w"], *, number: int
) -> Samples:
    """Return pixels of every instance, drawn uniformly; of few, some come twice.

    Instances come in the order of their labels, as in `instances`.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])  # one image of two instances
        >>> sample_instances(labels[:, None].float(), labels, number=2).pixel.tolist()
        [[[0, 1], [2, 3]]]
    """
    slot, columns = dense_slots(labels.flatten(1))
    slot = torch.where(labels.flatten(1) > 0, slot, columns)
    # the pixels of instance 0, then those of 1, ...; pixels of none come last
    order = slot.argsort(dim=1, stable=True)
    counts = torch.zeros(len(slot), columns + 1, dtype=torch.long, device=slot.device)
    counts = counts.scatter_add(1, slot, torch.ones_like(slot))[:, :columns]
    first = counts.cumsum(1) - counts
    place = first[..., None] + _spread(counts, number=number)  # b n s
    pixel = order.gather(1, place.flatten(1).clamp(max=slot.shape[1] - 1))
    return Samples(
        pixel=pixel.view_as(place),
        features=features_at(embedding, pixel).unflatten(1, place.shape[1:]),
        counts=counts,
    )


def sample_pixels(known: Bool[Tensor, "b h w"], *, number: int) -> Int[Tensor, "b s"]:
    """Return known pixels of every image, drawn uniformly; what an image without any gets is any.

    They count in the order of rows; of fewer than `number` some come twice.

    Example:
        >>> sample_pixels(torch.tensor([[[False, True, False, True]]]), number=2).tolist()
        [[1, 3]]
    """
    flat = known.flatten(1)
    order = flat.logical_not().byte().argsort(dim=1, stable=True)
    place = _spread(flat.sum(1), number=number)
    return order.gather(1, place)


def features_at(
    embedding: Float[Tensor, "b c h w"], pixel: Int[Tensor, "b s"]
) -> Float[Tensor, "b s c"]:
    """Return the embedding at pixels that count in the order of rows, at least in float32.

    Example:
        >>> features_at(torch.tensor([[[[5.0, 6.0], [7.0, 8.0]]]]), torch.tensor([[3, 0]])).tolist()
        [[[8.0], [5.0]]]
    """
    flat = embedding.flatten(2)
    index = pixel[:, None].expand(-1, flat.shape[1], -1)
    return at_least_float32(flat.gather(2, index).transpose(1, 2))


def _spread(counts: Int[Tensor, "*shape"], *, number: int) -> Int[Tensor, "*shape s"]:
    """Return `number` ordinals below each count, ascending; 0 where the count is."""
    drawn = torch.rand(*counts.shape, number, dtype=torch.float64).to(counts.device)
    share = (torch.arange(number, device=counts.device) + drawn) / number
    ordinal = (share * counts[..., None]).long()
    return torch.minimum(ordinal, (counts[..., None] - 1).clamp(min=0))
