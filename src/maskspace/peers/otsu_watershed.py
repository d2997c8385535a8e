"""Bright blobs: Otsu's threshold, then a watershed of the distance to the background.

N. Otsu 1979 (doi:10.1109/TSMC.1979.4310076); the recipe that microscopists use, by scikit-image.
"""

from typing import Annotated, cast

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from pydantic import Field, PositiveInt
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_otsu
from skimage.segmentation import watershed

from maskspace.masks import areas, from_label_map
from maskspace.peers.kinds import Peer
from maskspace.peers.rankings import RANKINGS
from maskspace.types import Prediction


def otsu_watershed(
    image: UInt8[np.ndarray, "h w 3"],
    *,
    limit: int = 100,
    sigma: Annotated[float, Field(ge=0)] = 1.0,
    min_distance: PositiveInt = 5,
    min_area: PositiveInt = 16,
) -> Prediction:
    """Return at most `limit` blobs, largest first; the scores are shares of the image.

    The grey image is smoothed by `sigma` pixels and cut at Otsu's threshold; the side that covers
    less of the image's border is foreground, so that dark nuclei on a bright ground are found too.
    Seeds are peaks of its distance to the background, `min_distance` pixels apart. Blobs of fewer
    than `min_area` pixels are dropped. An image of one grey has none.

    Example:
        >>> image = np.zeros((32, 32, 3), np.uint8)
        >>> image[4:12, 4:12] = image[20:28, 20:28] = 220  # two bright blobs on black
        >>> otsu_watershed(image, sigma=0.0).masks.sum((1, 2)).tolist()
        [64, 64]
    """
    grey = cast("Float[np.ndarray, 'h w']", gaussian(rgb2gray(image), sigma))
    if grey.min() == grey.max():
        return Prediction(np.zeros((0, *grey.shape), bool), np.zeros(0, np.float32))
    _, masks = from_label_map(_blobs(_foreground(grey), min_distance))
    sizes = areas(masks)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= min_area][:limit]
    return Prediction(masks[order], (sizes[order] / grey.size).astype(np.float32))


def _foreground(grey: Float[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    bright = grey > threshold_otsu(grey)
    border = np.concatenate([bright[0], bright[-1], bright[1:-1, 0], bright[1:-1, -1]])
    return ~bright if border.mean() > 0.5 else bright


def _blobs(foreground: Bool[np.ndarray, "h w"], min_distance: int) -> Int[np.ndarray, "h w"]:
    distance = cast("Float[np.ndarray, 'h w']", ndimage.distance_transform_edt(foreground))
    components, _ = ndimage.label(foreground)  # pyright: ignore[reportGeneralTypeIssues]
    peaks = peak_local_max(distance, min_distance=min_distance, labels=components)
    seeds = np.zeros(distance.shape, np.int64)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=foreground)


OTSU_WATERSHED = Peer(propose=otsu_watershed, ranking=RANKINGS["area"])
