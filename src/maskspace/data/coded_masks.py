"""Masks as other people's files code them, checked before anything is made of them."""

import math
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from jaxtyping import Int
from pycocotools import mask as coco

from maskspace.data.annotations import Coded
from maskspace.data.run_lengths import decode_runs, encode_runs, label_map_runs


def coded_label_map(labels: Int[np.ndarray, "h w"], *, ignored: int | None = None) -> list[Coded]:
    """Return the mask of each non-zero label, ascending; that of `ignored` is marked so."""
    ids, runs = label_map_runs(labels)
    strings = encode_runs(runs, (labels.shape[0], labels.shape[1]))
    return [
        Coded(counts=counts, ignore=label == ignored)
        for label, counts in zip(ids.tolist(), strings, strict=True)
    ]


def canonical_counts(strings: Sequence[str], size_hw: tuple[int, int]) -> list[str]:
    """Return COCO's strings as pycocotools would write them: no empty run inside, none at the end.

    Raises ValueError `mask N: ...`, N from 0, for one that does not cover the image exactly.
    """
    try:
        return encode_runs(decode_runs(strings, size_hw), size_hw)
    except ValueError:
        for index, one in enumerate(strings):
            try:
                decode_runs([one], size_hw)
            except ValueError as error:
                reason = str(error).removeprefix("mask 0: ")
                raise ValueError(f"mask {index}: {reason}; fetch the file again") from None
        raise


def run_length_string(coded: object, size_hw: tuple[int, int]) -> str:
    """Return the string of COCO's run-length object `{size, counts}`, not yet checked to fit.

    `counts` is the compressed string, or the plain list of run lengths, background first. Raises
    ValueError for anything else, for another size, and for runs that do not fit the image.
    """
    counts = coded.get("counts") if isinstance(coded, Mapping) else None
    if not isinstance(coded, Mapping) or not isinstance(counts, str | list):
        raise ValueError("has no run-length `segmentation` {size, counts}; convert it")
    if coded.get("size") != list(size_hw):
        raise ValueError(
            f"its mask is {coded.get('size')!r:.40}, the image is {list(size_hw)} (h, w); "
            "pair the files again"
        )
    return counts if isinstance(counts, str) else _compressed(counts, size_hw)


def _compressed(runs: list[object], size_hw: tuple[int, int]) -> str:
    pixels = size_hw[0] * size_hw[1]
    for run in runs:
        if not isinstance(run, int) or isinstance(run, bool) or not 0 <= run <= pixels:
            raise ValueError(
                f"its run length {run!r:.40} is no whole number from 0 to {pixels}; "
                "fetch the file again"
            )
    total = sum(cast("list[int]", runs))
    if total != pixels:
        raise ValueError(
            f"its run lengths cover {total} pixels, the image has {size_hw[0]} x {size_hw[1]} = "
            f"{pixels}; fetch the file again"
        )
    coded = {"size": list(size_hw), "counts": runs}
    filled = coco.frPyObjects(coded, *size_hw)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return _string(filled)


def polygons_string(polygons: object, size_hw: tuple[int, int]) -> str:
    """Return the string of the union of COCO's polygons `[[x, y, x, y, ...], ...]`, in pixels.

    pycocotools fills them; its border pixels differ a little from OpenCV's. Raises ValueError for
    what is no polygon of three corners or more, each within the image or its own size beside it.
    """
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("has no polygons; convert it")
    reach = np.array([2.0 * size_hw[1], 2.0 * size_hw[0]])
    for polygon in polygons:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError("has a polygon that is not three or more pairs of x and y; correct it")
        if not all(isinstance(x, int | float) and math.isfinite(x) for x in polygon):
            raise ValueError("has a polygon whose corners are not all numbers; correct it")
        corners = np.array(polygon, np.float64).reshape(-1, 2)
        if (np.abs(corners) > reach).any():
            raise ValueError("has a polygon far outside the image; correct it")
    filled = coco.frPyObjects(polygons, *size_hw)
    return _string(coco.merge(cast("list[dict]", filled)))  # pyright: ignore[reportArgumentType]


def _string(coded: object) -> str:
    return cast("dict[str, bytes]", coded)["counts"].decode("ascii")
