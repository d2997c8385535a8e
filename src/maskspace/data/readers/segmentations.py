"""COCO's segmentations as tools write them: polygons and run lengths to masks, or a reason why not.

Understood are polygons as a list of rings or as one ring that is not nested, run lengths plain or
compressed, alone or in a list, and numbers as text. Left out, each with its reason, are a box
alone, rings of fewer than three points, rings that reach far outside of the image, and run lengths
of another size. Polygons are filled as pycocotools fills them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from pycocotools import mask as coco

from maskspace.data.annotations import Coded
from maskspace.data.readers.coded_masks import run_length_string
from maskspace.data.readers.json_values import flag_of, number_of
from maskspace.masks.coded import decode_runs, encode_runs
from maskspace.masks.runs import Runs, boxes_of_runs

NO_SEGMENTATION = "no segmentation (a box alone is no mask)"
NO_RING = "a polygon without three points"

#: A further check of a mask: function of its annotation, pixels and box; it may raise ValueError.
Check = Callable[[Mapping, int, list[int]], None]


def structural_fault(record: Mapping) -> str | None:
    """Return why an annotation can have no mask in any image; None where it may have one.

    Example:
        >>> structural_fault({"segmentation": [[0, 0, 4, 0, 4, 4]]}) is None
        True
        >>> structural_fault({"bbox": [0, 0, 4, 4]})
        'no segmentation (a box alone is no mask)'
    """
    segmentation = record.get("segmentation")
    if isinstance(segmentation, str | Mapping) and segmentation:
        return None
    if not isinstance(segmentation, list) or not segmentation or segmentation == [[]]:
        return NO_SEGMENTATION
    if any(isinstance(one, Mapping) for one in segmentation) or _rings(segmentation):
        return None
    return (
        NO_RING if all(isinstance(one, list) or _is_number(one) for one in segmentation) else None
    )


def coded_annotations(
    records: Sequence[object],
    size_hw: tuple[int, int],
    *,
    first: int | None = None,
    score: Callable[[Mapping], float] | None = None,
    check: Check | None = None,
    category: Callable[[Mapping], int | None] = lambda _: None,
) -> tuple[list[Coded], tuple[str, ...]]:
    """Return the masks of annotations, and a line for each annotation that is left out.

    Crowds, and annotations with `ignore`, become masks to ignore. A line starts with the id of the
    annotation, or with its number.

    Args:
        records: the annotations.
        size_hw: rows and columns of the image.
        first: number of the first annotation, to name them by numbers (default None: by their ids).
        score: function of an annotation to its score; it may raise ValueError to leave it out
            (default None: its `score`, else 1).
        check: function of an annotation, the area of its mask and its box (x, y, w, h); it may
            raise ValueError to leave it out (default None: no check).
        category: function of an annotation to its category or None (default: always None).

    Example:
        >>> good = {"id": 5, "segmentation": {"size": [2, 2], "counts": [0, 4]}, "score": 0.9}
        >>> bad = {"id": 6, "bbox": [0, 0, 2, 2]}
        >>> coded, left_out = coded_annotations([good, bad], (2, 2))
        >>> [one.score for one in coded], left_out
        ([0.9], ('annotation 6: no segmentation (a box alone is no mask)',))
    """
    score = score or annotation_score
    strings: list[str] = []
    readable: list[tuple[str, Mapping, float, bool]] = []
    left_out: list[str] = []
    for number, record in enumerate(records, start=first or 0):
        name = _name(record, None if first is None else number)
        try:
            if not isinstance(record, Mapping):
                raise ValueError("is no object")
            string = segmentation_string(record.get("segmentation"), size_hw)
            readable.append((name, record, score(record), _is_ignored(record)))
            strings.append(string)
        except ValueError as error:
            left_out.append(f"{name}: {error}")
    runs, faults = _fitting(strings, size_hw)
    coded: list[Coded] = []
    measures = (runs.areas().tolist(), boxes_of_runs(runs, size_hw).tolist())
    measured = iter(zip(encode_runs(runs, size_hw), *measures, strict=True))
    for (name, record, value, ignore), fault in zip(readable, faults, strict=True):
        if fault is None:
            string, area, box_xywh = next(measured)
            fault = _fault(record, area, box_xywh, check)
            mask = Coded(counts=string, score=value, ignore=ignore, category=category(record))
            coded += [] if fault else [mask]
        left_out += [f"{name}: {fault}"] if fault else []
    return coded, tuple(left_out)


def require_some(coded: Sequence[Coded], left_out: Sequence[str], *, place: str) -> None:
    """Raise ValueError that starts with `place` where some masks are left out and none remains.

    Example:
        >>> require_some([Coded(counts="04")], ["annotation 6: no segmentation"], place="a.json")
        >>> require_some([], ["annotation 6: no segmentation"], place="a.json")
        Traceback (most recent call last):
            ...
        ValueError: a.json: annotation 6: no segmentation; no annotation is left, correct the file
    """
    if left_out and not coded:
        more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
        raise ValueError(f"{place}: {left_out[0]}{more}; no annotation is left, correct the file")


def segmentation_string(segmentation: object, size_hw: tuple[int, int]) -> str:
    """Return the compressed run lengths of a segmentation.

    Raises ValueError for what is no mask. A compressed string is returned as it is, not yet checked
    to fit `size_hw`.

    Example:
        >>> square = segmentation_string([[0, 0, 2, 0, 2, 2, 0, 2]], (2, 2))  # x, y of four corners
        >>> square == segmentation_string({"size": [2, 2], "counts": [0, 4]}, (2, 2))
        True
    """
    if segmentation is None or segmentation == [] or segmentation == [[]]:
        raise ValueError(NO_SEGMENTATION)
    if not isinstance(segmentation, list):
        return run_length_string(segmentation, size_hw)
    if all(isinstance(one, Mapping) for one in segmentation):
        return _union([run_length_string(one, size_hw) for one in segmentation], size_hw)
    rings = [_ring(one, size_hw) for one in _rings(segmentation)]
    if not rings:
        raise ValueError(NO_RING)
    rles = coco.frPyObjects(rings, *size_hw)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return cast("dict[str, bytes]", coco.merge(rles))["counts"].decode("ascii")


def annotation_score(record: Mapping) -> float:
    """Return the `score` of an annotation, 1 where it has none; ValueError outside of [0, 1].

    Example:
        >>> annotation_score({"score": "0.5"}), annotation_score({})
        (0.5, 1.0)
    """
    score = number_of(record.get("score"), what="score")
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"score {score:g} is not in [0, 1]")
    return 1.0 if score is None else score


def _name(record: object, number: int | None) -> str:
    identity = record.get("id") if isinstance(record, Mapping) else None
    return f"annotation {number if number is not None else identity!s:.40}"


def _is_ignored(record: Mapping) -> bool:
    return flag_of(record.get("iscrowd"), what="iscrowd") or flag_of(
        record.get("ignore"), what="ignore"
    )


def _fault(record: Mapping, area: int, box_xywh: list[int], check: Check | None) -> str | None:
    try:
        if check is not None:
            check(record, area, box_xywh)
    except ValueError as error:
        return str(error)
    return None if area else "covers no pixel"


def _fitting(strings: list[str], size_hw: tuple[int, int]) -> tuple[Runs, list[str | None]]:
    """Return the runs of the masks that fit the image, and for each mask its fault or None."""
    try:
        return decode_runs(strings, size_hw), [None] * len(strings)
    except ValueError:
        faults = [_misfit(one, size_hw) for one in strings]
    fitting = [one for one, fault in zip(strings, faults, strict=True) if fault is None]
    return decode_runs(fitting, size_hw), faults


def _misfit(string: str, size_hw: tuple[int, int]) -> str | None:
    try:
        decode_runs([string], size_hw)
    except ValueError as error:
        return str(error).removeprefix("mask 0: ")
    return None


def _union(strings: list[str], size_hw: tuple[int, int]) -> str:
    if len(strings) == 1:
        return strings[0]
    for one in strings:
        decode_runs([one], size_hw)  # pycocotools checks nothing
    objects = [{"size": list(size_hw), "counts": one.encode("ascii")} for one in strings]
    return cast("dict[str, bytes]", coco.merge(objects))["counts"].decode("ascii")  # pyright: ignore[reportArgumentType]


def _rings(polygons: list[Any]) -> list[list[Any]]:
    """Return the rings of three or more points, from a list of rings or from one ring alone.

    A ring of four numbers is left out: for pycocotools it is a box, for others a line.
    """
    nested = [polygons] if all(_is_number(one) for one in polygons) else polygons
    return [one for one in nested if isinstance(one, list) and len(one) >= 6 and len(one) % 2 == 0]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


def _ring(points: list[object], size_hw: tuple[int, int]) -> list[float]:
    """Return a ring as x0, y0, x1, y1, …, with every point within one image side of the image.

    pycocotools takes memory by the length of the outline, whatever the image's size.
    """
    longest_side, ring = max(size_hw), []
    for point in points:
        value = point if isinstance(point, float) and math.isfinite(point) else None
        value = number_of(point, what="polygon") if value is None else value
        if value is None:
            raise ValueError("a polygon holds a point without a number")
        if not -longest_side <= value <= 2 * longest_side:
            raise ValueError(f"a polygon reaches {value:g}, far outside of the image")
        ring.append(value)
    return ring
