"""A sample as arrays: its image and all its masks, whole. What evaluation and galleries read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from maskspace.jpeg import decode_jpeg, upright_size_hw
from maskspace.masks.coded import decode
from maskspace.types import Annotation, Sample, read_rgb

#: In arrays, the category of a mask that has none.
NO_CATEGORY = -1


@dataclass(frozen=True, eq=False)
class Dense:
    """The image of a sample and its masks in their order, those to ignore apart.

    `parents` holds the id of each mask's parent, 0 where it has none; masks of equal `layers` come
    from one person; `categories` are the ids of what they are of, NO_CATEGORY without one; `ignore`
    is the union of the masks whose pixels count neither for nor against anything.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> arrays = dense(sample)
        >>> arrays.image.shape, arrays.parents.any().item()  # rectangles do not nest
        ((64, 64, 3), False)
    """

    image: UInt8[np.ndarray, "h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    ids: Int64[np.ndarray, " n"]
    parents: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    layers: Int64[np.ndarray, " n"]
    categories: Int64[np.ndarray, " n"]
    ignore: Bool[np.ndarray, "h w"]


def dense(sample: Sample) -> Dense:
    """Return a sample's arrays; ValueError that names its key where image and masks do not fit.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> dense(sample).masks[0].sum().item() == sample.annotations[0].area
        True
    """
    image = read_pixels(sample)
    try:
        masks = decode([annotation.counts for annotation in sample.annotations], sample.size_hw)
    except ValueError as error:
        raise ValueError(f"{sample.key}: {error}; make the sample again") from None
    counted = np.array([not annotation.ignore for annotation in sample.annotations], bool)
    kept = [annotation for annotation in sample.annotations if not annotation.ignore]
    return Dense(
        image=image,
        masks=masks if counted.all() else masks[counted],
        ids=np.array([annotation.id for annotation in kept], np.int64),
        parents=np.array([annotation.parent or 0 for annotation in kept], np.int64),
        scores=np.array([annotation.score for annotation in kept], np.float32),
        layers=np.array([annotation.layer for annotation in kept], np.int64),
        categories=category_ids(kept),
        ignore=np.logical_or.reduce(masks[~counted], axis=0),
    )


def category_ids(annotations: Sequence[Annotation]) -> Int64[np.ndarray, " n"]:
    """Return the id of each annotation's category, NO_CATEGORY (-1) without one.

    Example:
        >>> car = Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2), category=3)
        >>> nameless = Annotation(id=2, counts="04", area=4, box_xywh=(0, 0, 2, 2))
        >>> category_ids([car, nameless]).tolist()
        [3, -1]
    """
    found = [NO_CATEGORY if one.category is None else one.category for one in annotations]
    return np.array(found, np.int64)


def read_pixels(
    sample: Sample, *, least_hw: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels of a sample's image.

    Raises ValueError that names its key for an image that cannot be read, or that is of another
    size than its masks.

    least_hw: rows and columns that are needed. A JPEG is then decoded at 1/8, 1/4 or 1/2 of its
        size where that has as many, in a fraction of the time; other formats, and photos that EXIF
        turns, come whole (default: whole).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> read_pixels(sample).shape
        (64, 64, 3)
    """
    upright = upright_size_hw(sample.image)
    try:
        small = decode_jpeg(sample.image, least_hw=least_hw) if upright and least_hw else None
        image = read_rgb(sample.image) if small is None else small
    except ValueError as error:
        raise ValueError(f"{sample.key}: {error}; make the sample again") from None
    stored = upright or image.shape[:2]
    if stored != sample.size_hw:
        raise ValueError(
            f"{sample.key}: the image is {stored}, its masks are {sample.size_hw} (h, w); "
            "make the sample again"
        )
    return image
