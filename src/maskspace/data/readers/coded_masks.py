"""Masks as other people's files code them, checked before anything is made of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
from jaxtyping import Int
from pycocotools import mask as coco

from maskspace.data.annotations import Coded
from maskspace.data.readers.json_values import whole_of
from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import Runs, boxes_of_runs, label_map_runs
from maskspace.types import Annotation

#: The most masks of one image. SA-1B has a hundred on average; the time to find parents grows with
#: their square.
MAX_MASKS = 20_000


def coded_label_map(
    labels: Int[np.ndarray, "h w"],
    *,
    background: int | None = 0,
    ignored: int | None = None,
    layer: int = 0,
    categories: Mapping[int, int] | None = None,
) -> list[Coded]:
    """Return the mask of each label of a label map, by ascending label.

    Args:
        labels: the label of each pixel.
        background: the label without a mask (default 0; None: every label has a mask).
        ignored: the label whose mask is one to ignore (default None: no label).
        layer: the layer of all the masks (default 0).
        categories: the category of each label that has one (default None: no mask has a category).

    Example:
        >>> coded = coded_label_map(np.array([[0, 1, 255]]), ignored=255)
        >>> [one.ignore for one in coded]  # label 1, then 255
        [False, True]
    """
    size_hw = (labels.shape[0], labels.shape[1])
    offset = int(labels.min()) - 1 if background is None else background
    ids, runs = label_map_runs(labels - offset if offset else labels)
    return [
        Coded(
            counts=counts,
            layer=layer,
            ignore=label + offset == ignored,
            category=(categories or {}).get(label + offset),
        )
        for label, counts in zip(ids.tolist(), encode_runs(runs, size_hw), strict=True)
    ]


def annotate_tree(
    counts: Sequence[str],
    parents: Sequence[int | None],
    size_hw: tuple[int, int],
    *,
    ignored: Sequence[str] = (),
    categories: Sequence[int | None] = (),
) -> tuple[Annotation, ...]:
    """Return an annotation for each mask, ids from 1, with parents that are given.

    No mask is dropped, not even one of two equal masks. Masks to ignore come last.

    Args:
        counts: run-length strings of the masks.
        parents: for each mask the index of its parent in `counts`, or None.
        size_hw: rows and columns of the image.
        ignored: run-length strings of masks to ignore (default: none).
        categories: the category of each mask of `counts`, then of `ignored` (default: none has
            one).

    Raises ValueError for an empty mask.

    Example:
        >>> from maskspace.masks import encode
        >>> masks = np.array([[[1, 1]], [[1, 0]]], bool)
        >>> [(one.id, one.parent) for one in annotate_tree(encode(masks), [None, 0], (1, 2))]
        [(1, None), (2, 1)]
    """
    strings = [*counts, *ignored]
    runs = decode_runs(strings, size_hw)
    boxes = boxes_of_runs(runs, size_hw).tolist()
    for index in np.flatnonzero(runs.areas() == 0).tolist():
        raise ValueError(f"mask {index + 1} is empty; remove it")
    parent_ids = [None if parent is None else parent + 1 for parent in parents]
    return tuple(
        Annotation(
            id=index + 1,
            counts=string,
            area=area,
            box_xywh=(x, y, w, h),
            parent=parent,
            ignore=index >= len(counts),
            category=category,
        )
        for index, (string, area, (x, y, w, h), parent, category) in enumerate(
            zip(
                strings,
                runs.areas().tolist(),
                boxes,
                parent_ids + [None] * len(ignored),
                categories or [None] * len(strings),
                strict=True,
            )
        )
    )


def runs_of_objects(
    coded: Sequence[object], size_hw: tuple[int, int], *, label: str, first: int = 0
) -> Runs:
    """Return the runs of COCO's run-length objects `{size, counts}`, all checked.

    Args:
        coded: the objects, at most 20 000.
        size_hw: rows and columns of the image.
        label: what an object is called in errors.
        first: the number of the first object in errors (default 0).

    Raises ValueError `LABEL N: ...` for the first object that does not fit the image.

    Example:
        >>> whole = {"size": [2, 2], "counts": [0, 4]}  # no pixel of background, four of the mask
        >>> runs_of_objects([whole], (2, 2), label="mask").areas().tolist()
        [4]
    """
    if len(coded) > MAX_MASKS:
        raise ValueError(f"{len(coded)} masks of one image; the limit is {MAX_MASKS}")
    strings = []
    for number, one in enumerate(coded, start=first):
        with _named(f"{label} {number}"):
            strings.append(run_length_string(one, size_hw))
    try:
        return decode_runs(strings, size_hw)
    except ValueError:
        for number, one in enumerate(strings, start=first):
            with _named(f"{label} {number}", mend="; fetch the file again"):
                decode_runs([one], size_hw)
        raise


@contextmanager
def _named(mask: str, *, mend: str = "") -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{mask}: {str(error).removeprefix('mask 0: ')}{mend}") from None


def run_length_string(coded: object, size_hw: tuple[int, int]) -> str:
    """Return the compressed string of one of COCO's run-length objects `{size, counts}`.

    `counts` is the compressed string, which is not decoded here, or the list of run lengths,
    background first. Raises ValueError for anything else, for another size than `size_hw`, and for
    a list of runs that does not cover the image exactly.

    Example:
        >>> run_length_string({"size": [2, 2], "counts": [0, 4]}, (2, 2))
        '04'
    """
    counts = coded.get("counts") if isinstance(coded, Mapping) else None
    if not isinstance(coded, Mapping) or not isinstance(counts, str | list):
        raise ValueError("has no run-length `segmentation` {size, counts}; convert it")
    if coded.get("size") != list(size_hw) and _size(coded.get("size")) != list(size_hw):
        raise ValueError(
            f"its mask is {coded.get('size')!r:.40}, the image is {list(size_hw)} (h, w); "
            "pair the files again"
        )
    return counts if isinstance(counts, str) else _compressed(counts, size_hw)


def _size(stated: object) -> list[int | None] | None:
    """Return a size as whole numbers, also where they are written as text or as 40.0."""
    try:
        return [whole_of(one, what="size") for one in stated] if isinstance(stated, list) else None
    except ValueError:
        return None


def _compressed(stated: list[object], size_hw: tuple[int, int]) -> str:
    pixels = size_hw[0] * size_hw[1]
    runs = [_run(one, pixels) for one in stated]
    total = sum(runs)
    if total != pixels:
        raise ValueError(
            f"its run lengths cover {total} pixels, the image has {size_hw[0]} x {size_hw[1]} = "
            f"{pixels}; fetch the file again"
        )
    coded = {"size": list(size_hw), "counts": runs}
    compressed = coco.frPyObjects(coded, *size_hw)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return _string(compressed)


def _run(stated: object, pixels: int) -> int:
    if type(stated) is int and 0 <= stated <= pixels:
        return stated
    try:
        run = whole_of(stated, what="counts")
    except ValueError:
        run = None
    if run is None or not 0 <= run <= pixels:
        raise ValueError(
            f"its run length {stated!r:.40} is no whole number from 0 to {pixels}; "
            "fetch the file again"
        )
    return run


def _string(coded: object) -> str:
    return cast("dict[str, bytes]", coded)["counts"].decode("ascii")
