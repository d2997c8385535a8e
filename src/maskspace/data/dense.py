"""A sample as arrays: its image and all its masks, whole; for evaluation and galleries."""

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
    """The image of a sample and its masks in their order; masks to ignore are apart.

    image: the pixels.
    masks, ids, scores: the masks that count, their ids and scores.
    parents: id of each mask's parent, 0 without one.
    layers: masks of the same layer come from the same person.
    categories: id of each mask's category, NO_CATEGORY (-1) without one.
    ignore: the union of the masks to ignore.

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
    """Return a sample's arrays; ValueError, with its key, if image and masks do not fit.

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
    is_counted = np.array([not annotation.ignore for annotation in sample.annotations], bool)
    counted_annotations = [annotation for annotation in sample.annotations if not annotation.ignore]
    return Dense(
        image=image,
        masks=masks if is_counted.all() else masks[is_counted],
        ids=np.array([annotation.id for annotation in counted_annotations], np.int64),
        parents=np.array([annotation.parent or 0 for annotation in counted_annotations], np.int64),
        scores=np.array([annotation.score for annotation in counted_annotations], np.float32),
        layers=np.array([annotation.layer for annotation in counted_annotations], np.int64),
        categories=category_ids(counted_annotations),
        ignore=np.logical_or.reduce(masks[~is_counted], axis=0),
    )


def category_ids(annotations: Sequence[Annotation]) -> Int64[np.ndarray, " n"]:
    """Return the id of each annotation's category, NO_CATEGORY (-1) without one.

    Example:
        >>> car = Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2), category=3)
        >>> nameless = Annotation(id=2, counts="04", area=4, box_xywh=(0, 0, 2, 2))
        >>> category_ids([car, nameless]).tolist()
        [3, -1]
    """
    ids = [
        NO_CATEGORY if annotation.category is None else annotation.category
        for annotation in annotations
    ]
    return np.array(ids, np.int64)


def read_pixels(
    sample: Sample, *, least_hw: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the pixels of a sample's image.

    ValueError, with its key, for an image that cannot be read or has another size than its masks.

    Args:
        sample: the sample.
        least_hw: rows and columns that are needed. A JPEG is then decoded at 1/8, 1/4 or 1/2 of its
            size if that has as many, in a fraction of the time; other formats, and photos that EXIF
            turns, are returned whole (default None: whole).

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
