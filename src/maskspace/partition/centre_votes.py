"""Centres that pixels vote for, and the pixels that point at each.

Hough voting of directions (UOIS-Net, Xie et al. 2019, arXiv 1907.13236; the directions may come as
8 bins, Uhrig et al. 2016, arXiv 1604.05096) or of offsets (Panoptic-DeepLab, Cheng et al. 2020,
arXiv 1911.10194).

Where the papers leave it open:
- a pixel votes for the cells on its ray up to a length;
- the score of a cell is the sum over 8 angles of the square root of its votes from that angle, so
  that a centre is where all directions meet;
- a pixel goes to the centre that its ray misses least; a tenth of the distance is added to the
  miss, so that of two centres behind one another the nearer is taken.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from torch import Tensor
from torch.nn import functional as F

from maskspace.partition.decoded import HeadOutputs, foreground_of, gathered
from maskspace.partition.modes import evenly_spaced, nearest_mode
from maskspace.prediction import Prediction

ANGLES = 8
_VOTERS = 2**16  # most pixels that vote by rays, at even steps
_BLOCK = 2**14  # pixels that are compared with all centres at a time
_STRAY = 0.02  # an angle with less than this share of a centre's pixels has none
_FARTHER = 0.1  # a pixel of distance adds so many pixels to a miss


def centre_votes(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    radius: int = 10,
    reach: int = 200,
    angles: float = 0.7,
    agreement: float = 0.8,
    unit: float = 1.0,
    min_area: int = 16,
    centres: int = 200,
) -> Prediction:
    """Return the pixels that point at each of the best centres; other pixels have the label 0.

    One of three heads is read: `direction`, unit vectors to the centre, x and y; `direction_bins`,
    logits of 8 angles, where bin k is k * 45 degrees from +x towards +y, which is down; or
    `offset`, the way to the centre in units of `unit` pixels. The score is the mean cosine between
    a pixel's direction and the centre; with offsets it is the mean of exp(-distance / `radius`),
    for the distance between the centre and where the offset ends.

    Args:
        outputs: one of the heads above, and `foreground` if the network has it.
        radius: least distance of two centres, in pixels (default 10).
        reach: length of a ray, in pixels (default 200).
        angles: share of the 8 angles from which a centre needs votes (default 0.7).
        agreement: least cosine with which a pixel goes to a centre (default 0.8).
        unit: pixels of one unit of an offset (default 1).
        min_area: a centre needs this many votes, an instance this many pixels (default 16).
        centres: most centres (default 200).

    Example:
        >>> import torch
        >>> y, x = torch.meshgrid(torch.arange(9.0), torch.arange(9.0), indexing="ij")
        >>> found = centre_votes({"offset": torch.stack([4 - x, 4 - y])}, radius=2)
        >>> len(found), found.labels.min().item()
        (1, 1)
    """
    has_directions, pointing = _pointing(outputs)
    size_hw = (pointing.shape[1], pointing.shape[2])
    inside = foreground_of(outputs, size_hw)
    places = inside.nonzero().flip(1).to(pointing.dtype)  # x y
    ways = pointing[:, inside].T
    labels = torch.zeros(size_hw, dtype=torch.int64, device=pointing.device)
    quality = torch.zeros(size_hw, device=pointing.device)
    tolerance = max(1, radius // 5)
    targets = places + unit * ways
    voters = evenly_spaced(len(places), _VOTERS if has_directions else len(places)).to(
        places.device
    )
    if has_directions:
        votes = ray_votes(places[voters], ways[voters], size_hw, reach=reach)
    else:
        votes = target_votes(targets, size_hw)
    min_votes = min_area * len(voters) / max(len(places), 1)
    peaks = vote_peaks(
        votes, radius=radius, tolerance=tolerance, min_votes=min_votes, share=angles, limit=centres
    )
    if len(peaks) and has_directions:
        index, value = surrounded(
            places, ways, peaks, agreement=agreement, snap=tolerance, share=angles
        )
        labels[inside], quality[inside] = index + 1, value
    elif len(peaks):
        index, distance = nearest_mode(targets, peaks)
        labels[inside], quality[inside] = index + 1, torch.exp(-distance / radius)
    return gathered(labels.cpu().numpy(), quality.cpu().numpy(), min_area=min_area)


def _pointing(outputs: HeadOutputs) -> tuple[bool, Float32[Tensor, "2 h w"]]:
    """Return whether pixels give a direction alone, and their directions or offsets."""
    if "direction" in outputs:
        return True, F.normalize(outputs["direction"], dim=0)
    if "direction_bins" in outputs:
        return True, F.normalize(mean_direction(outputs["direction_bins"]), dim=0)
    if "offset" in outputs:
        return False, outputs["offset"]
    raise ValueError(
        "decoder centre_votes needs one of the heads direction, direction_bins, offset; "
        f"the model has {', '.join(outputs)}"
    )


def mean_direction(logits: Float32[Tensor, "bins h w"]) -> Float32[Tensor, "2 h w"]:
    """Return the mean of the bins' unit vectors, weighted by softmax.

    Bin k is at 360 k / bins degrees.

    Example:
        >>> import torch
        >>> logits = torch.full((8, 1, 1), -100.0)
        >>> logits[0] = 100.0  # bin 0 looks along +x
        >>> mean_direction(logits).flatten().tolist()
        [1.0, 0.0]
    """
    angle = torch.arange(len(logits), device=logits.device) * (2 * math.pi / len(logits))
    vectors = torch.stack([angle.cos(), angle.sin()])
    return torch.einsum("dk,khw->dhw", vectors, logits.softmax(0))


def ray_votes(
    places: Float32[Tensor, "p 2"],
    ways: Float32[Tensor, "p 2"],
    size_hw: tuple[int, int],
    *,
    reach: int,
) -> Float32[Tensor, "angles h w"]:
    """Return how many rays from each of 8 angles cross each cell.

    Args:
        places: x and y of each pixel.
        ways: unit vector of each pixel.
        size_hw: rows and columns of the result.
        reach: length of a ray, in pixels.

    Example:
        >>> import torch
        >>> place, way = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
        >>> votes = ray_votes(place, way, (2, 4), reach=3)
        >>> votes.sum(0).int().tolist()  # the ray goes to the right
        [[0, 1, 1, 1], [0, 0, 0, 0]]
    """
    height, width = size_hw
    plane = angle_of(ways) * (height * width)
    # the last cell counts votes outside of the image
    votes = torch.zeros(ANGLES * height * width + 1, device=places.device)
    single_votes = torch.ones(1, device=places.device).expand(len(places))
    for length in range(1, min(reach, height + width) + 1):
        x, y = (places + length * ways).round_().unbind(1)
        is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        cell = plane + (y * width + x).long()
        votes.scatter_add_(0, cell.where(is_inside, len(votes) - 1), single_votes)
    return votes[:-1].view(ANGLES, height, width)


def angle_of(ways: Float32[Tensor, "p 2"]) -> Int64[Tensor, " p"]:
    """Return for each direction the nearest of the 8 angles.

    Example:
        >>> import torch
        >>> angle_of(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()
        [0, 2, 4]
    """
    steps = torch.atan2(ways[:, 1], ways[:, 0]) * (ANGLES / (2 * math.pi))
    return steps.round().long() % ANGLES


def target_votes(
    targets: Float32[Tensor, "p 2"], size_hw: tuple[int, int]
) -> Float32[Tensor, "1 h w"]:
    """Return how many targets are in each cell; targets outside the image count at its edge.

    Example:
        >>> import torch
        >>> target_votes(torch.tensor([[1.0, 0.0], [1.0, 0.0], [9.0, 0.0]]), (1, 3)).tolist()
        [[[0.0, 2.0, 1.0]]]
    """
    height, width = size_hw
    x = targets[:, 0].round().long().clamp(0, width - 1)
    y = targets[:, 1].round().long().clamp(0, height - 1)
    votes = torch.bincount(y * width + x, minlength=height * width).to(targets.dtype)
    return votes.view(1, height, width)


def vote_peaks(
    votes: Float32[Tensor, "angles h w"],
    *,
    radius: int,
    tolerance: int,
    min_votes: float,
    share: float,
    limit: int,
) -> Float32[Tensor, "n 2"]:
    """Return the x and y of the peaks of votes, highest first.

    Args:
        votes: votes of each cell by angle.
        radius: no two peaks are within this distance, in pixels.
        tolerance: votes count in windows of this many pixels to each side.
        min_votes: least number of votes in the window of a peak.
        share: least share of the angles that have votes there.
        limit: most peaks.

    Example:
        >>> import torch
        >>> votes = torch.tensor([[[0.0, 5.0, 0.0, 0.0, 3.0]]])
        >>> vote_peaks(
        ...     votes, radius=2, tolerance=0, min_votes=1.0, share=0.5, limit=10
        ... ).tolist()
        [[1.0, 0.0], [4.0, 0.0]]
    """
    windowed = _windows(votes, tolerance)
    # sums in two steps have one peak where one step gives a plateau
    score = _windows(_windows(votes, tolerance // 2), tolerance - tolerance // 2).sqrt().sum(0)
    is_candidate = (windowed.sum(0) >= min_votes - 0.5) & (
        (windowed > 0.5).float().mean(0) >= share
    )
    highest = F.max_pool2d(score[None, None], 2 * radius + 1, 1, radius)[0, 0]
    y, x = (is_candidate & (score == highest)).nonzero().unbind(1)
    order = torch.argsort(score[y, x], descending=True, stable=True)[: 4 * limit]
    candidates = torch.stack([x, y], 1)[order]
    chosen = _apart(candidates.cpu().numpy(), radius)[:limit]
    return candidates[chosen.to(candidates.device)].to(votes.dtype)


def _windows(votes: Float32[Tensor, "c h w"], radius: int) -> Float32[Tensor, "c h w"]:
    """Return the sum over the window around each cell."""
    side = 2 * radius + 1
    return F.avg_pool2d(votes[None], side, 1, radius, divisor_override=1)[0]


def _apart(candidates: np.ndarray, radius: int) -> Int64[Tensor, " n"]:
    """Return the indices of points that are farther than `radius` from all chosen before."""
    is_free, chosen = np.ones(len(candidates), bool), []
    for index, place in enumerate(candidates):
        if is_free[index]:
            chosen.append(index)
            is_free &= ((candidates - place) ** 2).sum(1) > radius**2
    return torch.tensor(chosen, dtype=torch.int64)


def surrounded(
    places: Float32[Tensor, "p 2"],
    ways: Float32[Tensor, "p 2"],
    centres: Float32[Tensor, "n 2"],
    *,
    agreement: float,
    snap: int,
    share: float,
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    """Return what `aimed_at` returns for the centres that their pixels surround.

    A centre without pixels at enough angles is where rays cross that end elsewhere. It is dropped,
    and pixels choose again among the others. Pixels at a centre count here by their direction
    alone.

    Args:
        places: x and y of each pixel.
        ways: unit vector of each pixel.
        centres: x and y of each centre.
        agreement: least cosine.
        snap: as in `aimed_at`.
        share: least share of the 8 angles at which a centre has pixels.

    Example:
        >>> import torch
        >>> places = torch.tensor([[0.0, 5.0], [10.0, 5.0], [5.0, 0.0], [5.0, 10.0]])
        >>> centre = torch.tensor([[5.0, 5.0]])
        >>> ways = (centre - places) / 5
        >>> surrounded(places, ways, centre, agreement=0.8, snap=0, share=0.5)[0].tolist()
        [0, 0, 0, 0]
        >>> surrounded(places, ways, centre, agreement=0.8, snap=0, share=0.9)[0].tolist()
        [-1, -1, -1, -1]
    """
    angle = angle_of(ways)
    while True:
        index, value = aimed_at(places, ways, centres, agreement=agreement, snap=-1)
        is_aimed = index >= 0
        code = (index * ANGLES + angle)[is_aimed]
        count = torch.bincount(code, minlength=len(centres) * ANGLES).view(-1, ANGLES)
        has_pixels = count > _STRAY * count.sum(1, keepdim=True)
        is_surrounded = has_pixels.float().mean(1) >= share
        if bool(is_surrounded.all()):
            return aimed_at(places, ways, centres, agreement=agreement, snap=snap)
        if not bool(is_surrounded.any()):
            return torch.full_like(index, -1), torch.zeros_like(value)
        centres = centres[is_surrounded]


def aimed_at(
    places: Float32[Tensor, "p 2"],
    ways: Float32[Tensor, "p 2"],
    centres: Float32[Tensor, "n 2"],
    *,
    agreement: float,
    snap: int,
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    """Return for each pixel the index of the centre that it points at, -1 for none, and the cosine.

    Args:
        places: x and y of each pixel.
        ways: unit vector of each pixel.
        centres: x and y of each centre.
        agreement: least cosine.
        snap: within this distance of a centre, where directions turn, a pixel belongs to it in any
            case (-1: never).

    Example:
        >>> import torch
        >>> places, ways = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        >>> aimed_at(places, ways, torch.tensor([[5.0, 0.0]]), agreement=0.8, snap=0)[0].tolist()
        [0, -1]
    """
    aimed = [
        _aimed(place, way, centres, agreement=agreement, snap=snap)
        for place, way in zip(places.split(_BLOCK), ways.split(_BLOCK), strict=True)
    ]
    indices, cosines = zip(*aimed, strict=True)
    return torch.cat(indices), torch.cat(cosines)


def _aimed(
    places: Float32[Tensor, "p 2"],
    ways: Float32[Tensor, "p 2"],
    centres: Float32[Tensor, "n 2"],
    *,
    agreement: float,
    snap: int,
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    dx = centres[:, 0] - places[:, :1]  # p n
    dy = centres[:, 1] - places[:, 1:]
    along = dx * ways[:, :1] + dy * ways[:, 1:]
    distance = torch.hypot(dx, dy)
    cosine = along / distance.clamp(min=1e-6)
    miss = (dx * ways[:, 1:] - dy * ways[:, :1]).abs() + _FARTHER * along
    at_centre: Bool[Tensor, "p n"] = distance <= snap
    miss = torch.where(cosine >= agreement, miss, torch.inf)
    miss = torch.where(at_centre, -1.0, miss)
    least = miss.min(1)
    value = torch.where(at_centre, 1.0, cosine).gather(1, least.indices[:, None])[:, 0]
    is_aimed = least.values.isfinite()
    return torch.where(is_aimed, least.indices, -1), torch.where(is_aimed, value, 0.0)
