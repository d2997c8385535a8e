"""What every kind is asked: an image and clicks on it, checked; how it refuses."""

import os
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, UInt8

from maskspace.loaded import ImageLike, Segmenter
from maskspace.partition.shrunk import Shrunk, shrunk
from maskspace.rgb import White
from maskspace.session import ClickLike, ClickSession, checked_clicks
from maskspace.types import Click, read_rgb

MIN_SIDE = 16


@runtime_checkable
class ClickFromMask(Protocol):
    """The method `click` of a model whose clicks can correct a mask."""

    def __call__(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        /,
        *,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the clicks, which correct `start`."""
        ...


#: What cameras sell as 12 megapixels: larger images are worked on at this size at most.
WORKING_PIXELS = 4032 * 3024


def checked_image(
    image: ImageLike, *, white: White | None = None, exif: bool = True, page: int = 1
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image as RGB, or raise ValueError if it is not one or its size is out of range.

    Args:
        image: a file's path, a PIL image, or an array h w, h w 1 or h w 3.
        white: what is white in an image of more than 8 bits (default None: as `read_rgb` takes it).
        exif: turn the pixels of a file as its EXIF says (default True).
        page: which page of a TIFF or frame of a film, from 1 (default 1).

    Example:
        >>> checked_image(np.full((16, 16), 1024, np.uint16), white=4096).max()
        np.uint8(64)
    """
    if isinstance(image, os.PathLike):
        image = os.fspath(image)
    rgb = read_rgb(image, white=white, exif=exif, page=page)
    height, width = rgb.shape[:2]
    place = f"{image}: " if isinstance(image, str) else ""
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{place}the image has {width} columns and {height} rows; "
            f"give one of at least {MIN_SIDE} a side"
        )
    return rgb


def workable(image: UInt8[np.ndarray, "h w 3"]) -> Shrunk:
    """Return the image at `WORKING_PIXELS` at most, with the size that answers have to have.

    For methods that look at every pixel; those with a size of their own bring any image to it.

    Example:
        >>> workable(np.zeros((20, 30, 3), np.uint8)).image.shape
        (20, 30, 3)
    """
    pixels = image.shape[0] * image.shape[1]
    longest = max(image.shape[:2])
    if pixels > WORKING_PIXELS:
        longest = max(32, int(longest * (WORKING_PIXELS / pixels) ** 0.5))
    return shrunk(image, max_side=max(32, longest))


def told_smaller(image: UInt8[np.ndarray, "h w 3"]) -> str | None:
    """Return a line that says that an image is worked on smaller than it is, or None.

    Example:
        >>> told_smaller(np.zeros((20, 30, 3), np.uint8)) is None
        True
    """
    height, width = image.shape[:2]
    if height * width <= WORKING_PIXELS:
        return None
    return (
        f"{height * width / 1e6:.1f} megapixels; looked at with {WORKING_PIXELS / 1e6:.1f} or "
        "fewer, answered at its own size"
    )


def some_clicks(clicks: Sequence[ClickLike], size_hw: tuple[int, int]) -> list[Click]:
    """Return the clicks as records; ValueError for none and for one outside the image.

    Example:
        >>> some_clicks([(3, 4, True)], (20, 30))
        [Click(x=3, y=4, positive=True)]
    """
    if len(clicks) == 0:
        raise ValueError("no clicks; give at least one (x, y, positive)")
    return checked_clicks(clicks, size_hw)


def masks_only_session(
    model: Segmenter,
    image: UInt8[np.ndarray, "h w 3"],
    start: Bool[np.ndarray, "h w"] | None,
    *,
    click: ClickFromMask | None = None,
) -> ClickSession:
    """Return the session of a model that answers masks, not maps: it has no level and no rule.

    Args:
        model: what is asked for the mask of the clicks.
        image: the image.
        start: the mask that the clicks correct.
        click: the model's `click`, if it takes a start mask (default None: there can be none).
    """

    def answer(
        clicks: Sequence[Click],
        *,
        level: float,
        start: Bool[np.ndarray, "h w"] | None,
        rule: str,
    ) -> Bool[np.ndarray, "h w"]:
        if level != 0.5 or rule != "claims":
            raise ValueError(f"{model.name} answers masks, not maps: no level and no rule")
        if start is not None and click is None:
            raise ValueError(f"{model.name} takes no start mask: begin with a click")
        if not clicks:
            return np.zeros(image.shape[:2], bool) if start is None else start
        return model.click(image, clicks) if click is None else click(image, clicks, start=start)

    return ClickSession(image, answer, model=model.name, start=start)
