"""How deep inside its instance a pixel lies: exact Euclidean distances of a whole label map.

The nearest pixel of another label is sought row by row, as in the separable transform of Saito and
Toriwaki (1994, Pattern Recognition 27): in a row where the label is another it is at once below or
above, else as far along the row as the row's own run of the label reaches.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

#: Farther than any pixel of an image, with a square that 32 bits hold.
FAR = 30_000


def inner_distance(labels: Int[Tensor, "b h w"]) -> Float[Tensor, "b h w"]:
    """Return the distance in pixels from every instance's pixel to the nearest of another label.

    It is at least 1 on instances, and 0 elsewhere. What lies outside the image is of no label:
    an instance that the image cuts off goes on there; one that fills it is infinitely deep.

    Example:
        >>> inner_distance(torch.tensor([[[0, 1, 1, 1, 2]]])).tolist()
        [[[0.0, 1.0, 2.0, 1.0, 1.0]]]
    """
    labels = labels.clamp(min=-1)
    inside = labels > 0
    along = _run_distance(labels)
    across = _run_distance(labels.transpose(1, 2)).transpose(1, 2)
    bound = torch.where(inside, torch.minimum(along, across), 0)
    squared, along = bound.square(), along.square()
    height = labels.shape[1]
    # no row further away than the farthest bound can be nearer; one number leaves the device
    for step in range(1, min(int(bound.max()) if bound.numel() else 0, height)):
        for near_slice, far_slice in (
            (slice(step, None), slice(None, height - step)),
            (slice(None, height - step), slice(step, None)),
        ):
            same = labels[:, near_slice] == labels[:, far_slice]
            candidates = torch.where(same, along[:, far_slice], 0) + step**2
            squared[:, near_slice] = torch.minimum(squared[:, near_slice], candidates)
    squared = torch.where(inside, squared, 0)
    return torch.where(squared < FAR**2, squared.float().sqrt(), torch.inf)


def inner_direction(
    distance: Float[Tensor, "b h w"], labels: Int[Tensor, "b h w"]
) -> tuple[Float[Tensor, "b 2 h w"], Bool[Tensor, "b h w"]]:
    """Return the unit vector away from the instance's edge, x before y, and where it is defined.

    It is the Sobel gradient of the distance. It is not defined on pixels with a neighbour of
    another label, whose distances belong to another instance, nor on ridges, where the gradient
    vanishes.

    Example:
        >>> labels = torch.zeros(1, 7, 7, dtype=torch.long)
        >>> labels[:, 1:6, 1:6] = 1
        >>> direction, is_valid = inner_direction(inner_distance(labels), labels)
        >>> direction[0, :, 3, 2].tolist()  # left of the middle: to the right
        [1.0, 0.0]
    """
    wide = labels[:, None].double()
    largest = F.max_pool2d(wide, 3, stride=1, padding=1)
    smallest = -F.max_pool2d(-wide, 3, stride=1, padding=1)
    finite = torch.where(distance.isfinite(), distance, 0.0)
    slope = distance.new_tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
    kernels = torch.stack([slope, slope.T])[:, None]
    gradient = F.conv2d(F.pad(finite[:, None], (1, 1, 1, 1), mode="replicate"), kernels)
    length = gradient.square().sum(1).sqrt()
    valid = (labels > 0) & (largest == smallest)[:, 0] & (length > 1e-3)
    return torch.where(valid[:, None], F.normalize(gradient, dim=1), 0.0), valid


def _run_distance(labels: Int[Tensor, "b h w"]) -> Int[Tensor, "b h w"]:
    """Return the distance along the row to the nearest pixel of another label, FAR if none."""
    return torch.minimum(_since_change(labels), _since_change(labels.flip(2)).flip(2))


def _since_change(labels: Int[Tensor, "b h w"]) -> Int[Tensor, "b h w"]:
    index = torch.arange(labels.shape[2], dtype=torch.int32, device=labels.device)
    starts = torch.full_like(labels, -FAR, dtype=torch.int32)
    is_new = labels[..., 1:] != labels[..., :-1]
    starts[..., 1:] = torch.where(is_new, index[1:], -FAR)
    return (index - starts.cummax(2).values + 1).clamp(max=FAR)
