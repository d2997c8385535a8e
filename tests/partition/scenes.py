"""Label maps, and what a perfect network would emit of them."""

import numpy as np
import torch
from jaxtyping import Int
from scipy import ndimage
from torch import Tensor

ENERGY_EDGES = (1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 37, 45, 54)
#: Channels of the perfect embedding, as many instances as it can hold, and the length of a vector.
CHANNELS, LENGTH = 8, 4.0


def disjoint(size_hw: tuple[int, int] = (47, 61)) -> Int[np.ndarray, "h w"]:
    """Return discs and a rectangle with background between and around them."""
    height, width = size_hw
    y, x = np.mgrid[:height, :width]
    labels = np.zeros(size_hw, np.int64)
    side = min(size_hw)
    for label, (v, u, radius) in {
        7: (0.3, 0.25, 0.2),
        2: (0.7, 0.3, 0.16),
        5: (0.25, 0.7, 0.17),
    }.items():
        labels[(y - v * height) ** 2 + (x - u * width) ** 2 <= (radius * side) ** 2] = label
    labels[int(0.6 * height) : int(0.9 * height), int(0.55 * width) : int(0.9 * width)] = 3
    return labels


def touching(size_hw: tuple[int, int] = (47, 61)) -> Int[np.ndarray, "h w"]:
    """Return rectangles that share borders; around them is background."""
    height, width = size_hw
    labels = np.zeros(size_hw, np.int64)
    rows = [2, height // 3, height - 3]
    columns = [3, width // 3, 2 * width // 3, width - 2]
    for i in range(2):
        for j in range(3):
            labels[rows[i] : rows[i + 1], columns[j] : columns[j + 1]] = 1 + 3 * i + j
    return labels


def perfect_outputs(labels: Int[np.ndarray, "h w"], *, heads: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the named heads of one image as a perfect network emits them."""
    make = {
        "1": perfect_embedding,
        "foreground": lambda labels: np.where(labels > 0, 8.0, -8.0)[None],
        "seed": lambda labels: np.where(labels > 0, 1.0, 0.0)[None],
        "bandwidth": lambda labels: np.full((1, *labels.shape), 0.3),
        "seeds": lambda labels: np.where(labels > 0, 4.0, -4.0)[None].repeat(4, 0),
        "direction": perfect_direction,
        "direction_bins": perfect_direction_bins,
        "offset": perfect_offset,
        "energy": perfect_energy,
        "affinity": perfect_breaks,
        "boundary": perfect_boundary,
        "query": perfect_queries,
    }
    return {name: torch.from_numpy(make[name](labels).astype(np.float32)) for name in heads}


def perfect_embedding(labels: np.ndarray) -> np.ndarray:
    """Return a vector per instance, all at right angles; the background's is 0."""
    ids = np.unique(labels[labels > 0])
    vectors = np.zeros((labels.max(initial=0) + 1, CHANNELS))
    vectors[ids, np.arange(len(ids))] = LENGTH
    return vectors[labels].transpose(2, 0, 1)


def perfect_boundary(labels: np.ndarray) -> np.ndarray:
    """Return logits of both pixels of a pair with different labels."""
    padded = np.pad(labels, 1, mode="edge")
    rows, columns = labels.shape
    shifts = [(0, 1), (2, 1), (1, 0), (1, 2)]
    near = [padded[y : y + rows, x : x + columns] != labels for y, x in shifts]
    return np.where(np.any(near, axis=0), 8.0, -8.0)[None]


def perfect_queries(labels: np.ndarray) -> np.ndarray:
    """Return a query at the vector of every instance that there may be, and a background's at 0."""
    del labels
    return np.vstack([LENGTH * np.eye(CHANNELS), np.zeros(CHANNELS)])


def perfect_offset(labels: np.ndarray) -> np.ndarray:
    """Return the way from each pixel to the mean of its instance, x and y in pixels."""
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    count = np.maximum(np.bincount(labels.ravel()), 1)
    centre_x, centre_y = (
        np.bincount(labels.ravel(), weights=place.ravel()) / count for place in (x, y)
    )
    return np.stack([centre_x[labels] - x, centre_y[labels] - y]) * (labels > 0)


def perfect_direction(labels: np.ndarray) -> np.ndarray:
    """Return the unit vector of the offset, (1, 0) where that is 0."""
    offset = perfect_offset(labels)
    length = np.hypot(*offset)
    return np.where(length > 0, offset / np.maximum(length, 1e-9), [[[1.0]], [[0.0]]])


def perfect_direction_bins(labels: np.ndarray) -> np.ndarray:
    """Return logits, sure of the nearest of 8 angles of 45 degrees from +x towards +y."""
    x, y = perfect_direction(labels)
    bins = np.round(np.arctan2(y, x) / (np.pi / 4)).astype(int) % 8
    return 20.0 * (bins == np.arange(8)[:, None, None])


def perfect_energy(labels: np.ndarray) -> np.ndarray:
    """Return logits, sure of the bin of the distance to the outside of the instance."""
    distance = np.zeros(labels.shape)
    for label in np.unique(labels[labels > 0]):
        mask = labels == label
        distance[mask] = ndimage.distance_transform_edt(mask)[mask]
    bins = np.digitize(distance, ENERGY_EDGES)
    return 20.0 * (bins == np.arange(16)[:, None, None])


def perfect_breaks(labels: np.ndarray) -> np.ndarray:
    """Return logits of a break to the right and below, no break where there is no neighbour."""
    breaks = np.zeros((2, *labels.shape))
    breaks[0, :, :-1] = labels[:, 1:] != labels[:, :-1]
    breaks[1, :-1] = labels[1:] != labels[:-1]
    return 20 * breaks - 10


def same_partition(found: np.ndarray, true: np.ndarray) -> bool:
    """Return whether two label maps hold the same instances under any names, 0 being none."""
    pairs = np.unique(np.stack([found.ravel(), true.ravel()]), axis=1)
    one_to_one = all(len(np.unique(row)) == pairs.shape[1] for row in pairs)
    return one_to_one and bool((found[true == 0] == 0).all()) and bool((found[true > 0] > 0).all())
