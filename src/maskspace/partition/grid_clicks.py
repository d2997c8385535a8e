"""Zero-shot segmentation: a grid of clicks on a ClickModel becomes ranked mask proposals.

Masks are made, ranked and compared at the model's own resolution (`click_masks`). Those that remain
are brought to the image's size, each inside its box, and compared there once more (`distinct`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from maskspace.config import section
from maskspace.partition.click_masks import NMS, Ranking, group_maps, level_threshold
from maskspace.partition.distinct import DistinctMasks
from maskspace.partition.resample import resize_window
from maskspace.partition.views import View, image_views
from maskspace.types import ClickModel, Features, Prediction

#: Crops with a shorter side, in pixels, are left out: they show a model too little.
LEAST_CROP = 64


@section
class ClickGrid:
    """How an image is clicked, what becomes a mask, and what is a duplicate.

    Args:
        per_side: clicks a side, on the image and on every crop, >= 1 (default 16).
        negative: True adds a negative click at each place (default False).
        crop_layers: layers of crops, >= 0 (default 0: the whole image alone).
        crop_overlap: overlap of the crops, as a share of the image's shorter side (default 0.34).
        levels: probabilities in (0, 1) at which each map is cut (default 0.5 alone).
        rounded: True rounds a mask to the superpixels that it covers by more than half (default
            True).
        overlap: of masks with a larger IoU the best stays, in [0, 1] (default 0.7).
        nms: "mask" takes the IoU of masks, "box" that of their boxes (default "mask").
        ranking: what is better: "stability", the IoU between a higher and a lower cut;
            "predicted_iou", the IoU that the map predicts; or "mean_score", the mean of both
            (default "stability").
        stability_offset: logits from the map's cut to each of those two, >= 0 (default 1).
        min_stability: less stable masks are no proposals, in [0, 1] (default 0).
        min_region: holes and islands of fewer pixels are removed (default 0: none).
        chunk: clicks that are decoded at a time, >= 1 (default 64).

    Raises ValueError for an option outside of its range.

    Example:
        >>> grid = ClickGrid(per_side=8, levels=(0.25, 0.75))
        >>> len(click_grid((64, 64), per_side=grid.per_side)) * len(grid.levels)  # maps cut in all
        128
    """

    per_side: int = 16
    negative: bool = False
    crop_layers: int = 0
    crop_overlap: float = 0.34
    levels: tuple[float, ...] = (0.5,)
    rounded: bool = True
    overlap: float = 0.7
    nms: NMS = "mask"
    ranking: Ranking = "stability"
    stability_offset: float = 1.0
    min_stability: float = 0.0
    min_region: int = 0
    chunk: int = 64

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if min(self.per_side, self.chunk) < 1 or min(self.crop_layers, self.min_region) < 0:
            raise ValueError(
                "per_side and chunk are at least 1, crop_layers and min_region at least 0; "
                f"got {self.per_side}, {self.chunk}, {self.crop_layers}, {self.min_region}"
            )
        if not self.levels or any(not 0 < level < 1 for level in self.levels):
            raise ValueError(f"levels: one or more, each in (0, 1); got {self.levels}")
        for name in ("overlap", "min_stability", "crop_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: in [0, 1]; got {getattr(self, name)}")
        if self.stability_offset < 0:
            raise ValueError(f"stability_offset: at least 0; got {self.stability_offset}")


def propose_from_clicks(
    model: ClickModel,
    image: UInt8[np.ndarray, "h w 3"],
    *,
    limit: int = 100,
    grid: ClickGrid | None = None,
) -> Prediction:
    """Return ranked mask proposals at the image's size, best first by the grid's ranking.

    No two proposals are duplicates. Of equally good ones those of the whole image come before those
    of crops.

    Args:
        model: answers clicks with maps.
        image: uint8 RGB.
        limit: most proposals, >= 1 (default 100).
        grid: how the image is clicked (default None: the defaults of `ClickGrid`).

    Example:
        >>> class SameGrey:  # a click means the pixels of its grey value
        ...     def encode(self, image):
        ...         return image[..., 0]
        ...     def click_logits(self, features, size_hw, clicks_xy, positive):
        ...         same = [features == features[y, x] for x, y in clicks_xy]
        ...         return np.where(same, 9.0, -9.0).astype(np.float32)
        >>> image = np.zeros((16, 16, 3), np.uint8)
        >>> image[:, 8:] = 255
        >>> found = propose_from_clicks(SameGrey(), image, grid=ClickGrid(per_side=4))
        >>> found.masks.sum((1, 2)).tolist()
        [128, 128]
    """
    if limit < 1:
        raise ValueError(f"proposals: limit is at least 1; got {limit}")
    grid = grid or ClickGrid()
    size_hw = (image.shape[0], image.shape[1])
    distinct = DistinctMasks(
        size_hw, limit, overlap=grid.overlap, nms=grid.nms, min_region=grid.min_region
    )
    candidates = [one for view in _views(size_hw, grid) for one in _seen(model, image, view, grid)]
    candidates.sort(key=lambda one: -one.score)  # equal scores keep their order
    for candidate in candidates:
        if distinct.add(*candidate.at_size(), candidate.score) == limit:
            break
    return distinct.proposals()


def click_grid(size_hw: tuple[int, int], *, per_side: int) -> Int64[np.ndarray, "k 2"]:
    """Return x and y of the centre pixels of a grid of cells, row by row, all different.

    `per_side` is the number of cells a side, or the number of pixels where there are fewer.

    Example:
        >>> click_grid((4, 4), per_side=2).tolist()
        [[1, 1], [3, 1], [1, 3], [3, 3]]
    """
    if per_side < 1:
        raise ValueError(f"a grid of clicks has at least 1 a side; got {per_side}")
    rows, columns = (
        (2 * np.arange(n) + 1) * side // (2 * n)
        for side, n in ((side, min(side, per_side)) for side in size_hw)
    )
    y, x = np.meshgrid(rows, columns, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def decode_clicks(
    model: ClickModel[Features],
    features: Features,
    size_hw: tuple[int, int],
    clicks_xy: Int64[np.ndarray, "k 2"],
    positive: Bool[np.ndarray, " k"],
    *,
    chunk: int,
) -> Float32[np.ndarray, "k r s"]:
    """Return each click's logit map, decoded in chunks of exactly `chunk` clicks.

    The last chunk is padded with its first click. One shape means one compiled kernel and bounded
    memory.

    Args:
        model: answers clicks with maps.
        features: what the model encoded the image to.
        size_hw: rows and columns of the image.
        clicks_xy: column and row of each click.
        positive: True for a positive click.
        chunk: clicks that are decoded at a time, >= 1.

    Example:
        >>> class Constant:
        ...     def encode(self, image):
        ...         return 1.5
        ...     def click_logits(self, features, size_hw, clicks_xy, positive):
        ...         return np.full((len(clicks_xy), 2, 2), features, np.float32)
        >>> clicks = click_grid((4, 4), per_side=2)
        >>> decode_clicks(Constant(), 1.5, (4, 4), clicks, np.ones(4, bool), chunk=3).shape
        (4, 2, 2)
    """
    maps = []
    for start in range(0, len(clicks_xy), chunk):
        indices = np.arange(start, start + chunk)
        indices[indices >= len(clicks_xy)] = start
        decoded = model.click_logits(features, size_hw, clicks_xy[indices], positive[indices])
        maps.append(decoded[: len(clicks_xy) - start])
    return np.concatenate(maps)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A mask of a view at the model's resolution, and how far inside it each pixel is."""

    score: float
    view: View
    mask: Bool[np.ndarray, "r s"]
    depth: Float32[np.ndarray, "r s"]

    def at_size(self) -> tuple[Bool[np.ndarray, "a b"], tuple[int, int]]:
        """Return the mask at the image's size around its box, and the window's column and row.

        The border lies between pixels, where the depth places it. Where the depth has another sign
        than the mask its sign is changed: at the model's own resolution the result is the mask
        itself.
        """
        signed = np.where(self.mask, 1, -1) * np.maximum(
            np.abs(self.depth), np.finfo(np.float32).tiny
        )
        left, top, right, bottom = self.view.box_xyxy
        window, (x, y) = resize_window(
            signed.astype(np.float32), (bottom - top, right - left), around=self.mask
        )
        return window > 0, (left + x, top + y)


def _views(size_hw: tuple[int, int], grid: ClickGrid) -> tuple[View, ...]:
    return image_views(
        size_hw, layers=grid.crop_layers, overlap=grid.crop_overlap, least=LEAST_CROP
    )


def _seen(
    model: ClickModel, image: UInt8[np.ndarray, "h w 3"], view: View, grid: ClickGrid
) -> Iterator[_Candidate]:
    """Yield the distinct masks of one view, best first."""
    pixels = np.ascontiguousarray(view.of(image))
    size_hw = (pixels.shape[0], pixels.shape[1])
    clicks_xy = click_grid(size_hw, per_side=grid.per_side)
    positive = np.ones(len(clicks_xy), bool)
    if grid.negative:
        clicks_xy = np.concatenate([clicks_xy, clicks_xy])
        positive = np.concatenate([positive, ~positive])
    logits = decode_clicks(
        model, model.encode(pixels), size_hw, clicks_xy, positive, chunk=grid.chunk
    )
    grouped = group_maps(
        logits,
        overlap=grid.overlap,
        stability_offset=grid.stability_offset,
        min_stability=grid.min_stability,
        ranking=grid.ranking,
        nms=grid.nms,
        rounded=grid.rounded,
        thresholds=tuple(level_threshold(level) for level in grid.levels),
        view=view,
    )
    for mask, score, click, cut in zip(
        grouped.masks, grouped.scores.tolist(), grouped.clicks, grouped.thresholds, strict=True
    ):
        yield _Candidate(score, view, mask, logits[click] - cut)
