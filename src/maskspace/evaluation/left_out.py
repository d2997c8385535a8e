"""Images that cannot be measured: they are named and left out, as long as they are few.

An image that cannot be read is left out for all models, so that all are measured on the same
images. So is an image that a model does not answer though it answers others. If a model refuses
more images than may be left out, its answers are left out instead of the images.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from maskspace.types import Sample

if TYPE_CHECKING:
    from maskspace.evaluation.rows import Row

#: What reading an image or its truth may raise for reasons of the data.
UNREADABLE = (ValueError, OSError)

#: Share of a dataset's images that may be left out, unless something else is asked for.
SHARE = 0.05

#: Images that a message names.
_NAMED = 3


def allowed(share: float, images: int) -> int:
    """Return how many of `images` may be left out: a share of them, at least one unless it is 0.

    Example:
        >>> allowed(0.05, 100), allowed(0.05, 4), allowed(0.0, 100)
        (5, 1, 0)
    """
    return max(1, math.floor(share * images)) if share > 0 else 0


def require_few(left_out: Mapping[str, str], *, dataset: str, images: int, share: float) -> None:
    """Raise ValueError, naming images and reasons, if more are left out than the share allows.

    Example:
        >>> require_few({"a": "not a JPEG"}, dataset="d", images=100, share=0.05)
        >>> require_few({"a": "not a JPEG"}, dataset="d", images=100, share=0.0)
        Traceback (most recent call last):
            ...
        ValueError: d: 1 of 100 images cannot be measured, more than the 0% that may be left...
    """
    if len(left_out) > allowed(share, images):
        raise ValueError(
            f"{dataset}: {len(left_out)} of {images} images cannot be measured, more than the "
            f"{share:.0%} that may be left out (max_left_out): {listed(left_out)}"
        )


def listed(left_out: Mapping[str, str]) -> str:
    """Return the first images with their reasons, and how many more there are.

    Example:
        >>> listed({"a": "not a JPEG", "b": "no mask"})
        'a (not a JPEG); b (no mask)'
    """
    named = [f"{key} ({why})" for key, why in list(left_out.items())[:_NAMED]]
    more = len(left_out) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more > 0 else "")


def left_out_of(rows: Sequence["Row"]) -> dict[str, str]:
    """Return the images that are left out, by key, with the reason.

    Example:
        >>> from maskspace.evaluation.rows import Row
        >>> row = Row(
        ...     dataset="d", model="m", key="a", masks=0, masks_too_small=0, left_out="not a JPEG"
        ... )
        >>> left_out_of([row])
        {'a': 'not a JPEG'}
    """
    return {row.key: row.left_out for row in rows if row.left_out}


def settled(rows: Sequence["Row"], *, share: float) -> list["Row"]:
    """Return the rows changed so that each model answers a question for all images or for none.

    An image that some model refuses for some question is left out for all models. If that would
    leave out more images than the share allows, that model's answers to that question are left out
    instead.

    Example:
        >>> from maskspace.evaluation.rows import Row
        >>> rows = [
        ...     Row(
        ...         dataset="d",
        ...         model="m",
        ...         key=key,
        ...         masks=1,
        ...         masks_too_small=0,
        ...         not_answered=refused,
        ...     )
        ...     for key, refused in (("a", {}), ("b", {"propose": "too large"}))
        ... ]
        >>> [row.left_out for row in settled(rows, share=0.5)]  # image b is left out for all models
        ['', 'm does not answer propose: too large']
    """
    images = len({row.key for row in rows})
    rows, spare = list(rows), allowed(share, images) - len(left_out_of(rows))
    for (model, question), refused in sorted(_partly_refused(rows).items(), key=_size):
        new = refused.keys() - left_out_of(rows).keys()
        if len(new) <= spare:
            spare -= len(new)
            why = {key: f"{model} does not answer {question}: {refused[key]}" for key in new}
            rows = [_blank(row, why[row.key]) if row.key in why else row for row in rows]
        else:
            reason = f"not for {len(refused)} of {images} images: {listed(refused)}"
            rows = [
                _unanswered(row, question, reason) if row.model == model and row.masks else row
                for row in rows
            ]
    return rows


def readable(samples: Sequence, left_out: Mapping[str, str]) -> Iterator[Sample]:
    """Yield the samples of a dataset without those that are left out or cannot be read.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> [sample.key for sample in readable(samples, {})] == [samples[0].key]
        True
        >>> list(readable(samples, {samples[0].key: "left out"}))
        []
    """
    for index in range(len(samples)):
        try:
            sample = samples[index]
        except UNREADABLE:
            continue
        if sample.key not in left_out:
            yield sample


def _size(entry: tuple[tuple[str, str], Mapping[str, str]]) -> tuple[int, tuple[str, str]]:
    return len(entry[1]), entry[0]


def _partly_refused(rows: Sequence["Row"]) -> dict[tuple[str, str], dict[str, str]]:
    """Return what a model refuses for some images and not for all: (model, question) -> reasons."""
    refused: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    num_images: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        num_images[row.model] += row.masks > 0
        for question, reason in row.not_answered.items():
            refused[row.model, question][row.key] = reason
    return {
        model_and_question: keys
        for model_and_question, keys in refused.items()
        if len(keys) < num_images[model_and_question[0]]
    }


def _blank(row: "Row", reason: str) -> "Row":
    """Return the row of an image that is left out."""
    return type(row)(
        dataset=row.dataset,
        model=row.model,
        key=row.key,
        masks=0,
        masks_too_small=0,
        content=row.content,
        left_out=reason,
    )


def _unanswered(row: "Row", question: str, reason: str) -> "Row":
    """Return the row without the answers to a question, which gets a reason."""
    row = replace(row, not_answered={**row.not_answered, question: reason})
    if question in ("embed", "propose", "regions"):
        return row  # what some images have not kept is reported of none
    if question == "click":
        return replace(row, click_ious={}, changes={}, best_level={})
    run = question.removeprefix("click_")
    return replace(
        row,
        click_ious={name: value for name, value in row.click_ious.items() if name != run},
        changes={name: value for name, value in row.changes.items() if name != run},
    )
