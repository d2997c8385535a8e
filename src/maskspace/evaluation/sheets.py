"""Sheets of pictures: the gallery of images, and the worst, median and best cases."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from maskspace import pictures

SIDE = 192
TITLES = ("image and click", "truth", "prediction", "certainty", "level lines")
#: Where a map is cut for the picture of its level lines, dark to light.
LINES = (0.1, 0.3, 0.5, 0.7, 0.9)
#: |logit| that is shown as quite certain: a probability of 0.9975.
SURE_LOGIT = 6.0

SheetPicture = UInt8[np.ndarray, "_ _ 3"]


def draw_gallery(
    path: Path, columns: Mapping[tuple[str, str], Sequence[np.ndarray]], names: Sequence[str]
) -> None:
    """Write a PNG with one row an image; columns are those of `gallery_columns`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> columns = {
        ...     ("input", "image"): [np.zeros((8, 8, 3), np.uint8)],
        ...     ("truth", "labels"): [np.ones((8, 8), np.int64)]}
        >>> draw_gallery(folder / "gallery.png", columns, ["a"])
        >>> (folder / "gallery.png").read_bytes()[1:4]
        b'PNG'
    """
    images = columns["input", "image"]
    drawn = [
        [_cell(image, array, kind) for image, array in zip(images, arrays, strict=True)]
        for (_, kind), arrays in columns.items()
    ]
    sheet = pictures.contact_sheet(
        [list(row) for row in zip(*drawn, strict=True)],
        titles=[title for title, _ in columns],
        names=names,
        side=SIDE,
    )
    pictures.save_image(path, sheet)


def _cell(image: UInt8[np.ndarray, "h w 3"], array: np.ndarray, kind: str) -> SheetPicture:
    if kind == "features":
        return pictures.fit_image(pictures.feature_colors(array.astype(np.float32)), SIDE)
    if kind == "labels":
        return _painted(image, array)
    return pictures.fit_image(array, SIDE)


def draw_cases(
    path: Path,
    arrays: Sequence[Mapping[str, np.ndarray]],
    clicks: Sequence[Sequence[int | float]],
    names: Sequence[str],
) -> None:
    """Write a PNG with one row a case; a model of masks has no certainty and no level lines.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> half = np.repeat([[True, True, False, False]], 4, axis=0)
        >>> arrays = {"image": np.zeros((4, 4, 3), np.uint8), "truth": half, "mask": half}
        >>> draw_cases(folder / "cases.png", [arrays], [(0.25, 0.5, 1)], ["worst"])
        >>> (folder / "cases.png").read_bytes()[1:4]
        b'PNG'
    """
    rows = [_row(one, click) for one, click in zip(arrays, clicks, strict=True)]
    sheet = pictures.contact_sheet(rows, titles=TITLES, names=names, side=SIDE)
    pictures.save_image(path, sheet)


def _row(arrays: Mapping[str, np.ndarray], click: Sequence[int | float]) -> list[SheetPicture]:
    image = pictures.fit_image(arrays["image"], SIDE)
    shown = [
        _clicked(image, click),
        _painted(arrays["image"], arrays["truth"].astype(np.int64)),
        _painted(arrays["image"], arrays["mask"].astype(np.int64)),
    ]
    if "probability" not in arrays:
        return shown
    fitted = pictures.fit_map(arrays["probability"], SIDE)
    return [*shown, _certainty(fitted), pictures.paint_level_lines(image, fitted, levels=LINES)]


def _clicked(image: UInt8[np.ndarray, "r s 3"], click: Sequence[int | float]) -> SheetPicture:
    x, y, positive = click
    place = int(x * image.shape[1]), int(y * image.shape[0])
    return pictures.paint_click(image, place, radius=SIDE // 48, positive=bool(positive))


def _painted(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"] | Bool[np.ndarray, "h w"]
) -> SheetPicture:
    """Return the labels on the image, enlarged before painting so that outlines stay thin."""
    fitted = pictures.fit_labels(labels.astype(np.int64), SIDE)
    return pictures.paint_labels(pictures.fit_image(image, SIDE), fitted)


def _certainty(probability: Float32[np.ndarray, "r s"]) -> SheetPicture:
    """Return |logit|, black where the model does not know."""
    sure = 1 / (1 + np.exp(-SURE_LOGIT))
    inside = np.clip(probability.astype(np.float64), 1 - sure, sure)
    return pictures.ramp_colors(np.abs(np.log(inside / (1 - inside))) / SURE_LOGIT)
