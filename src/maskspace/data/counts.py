"""Counts of samples, made from their records alone: no mask is decoded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from maskspace.types import Annotation, Sample

#: Deeper masks are counted here; SA-1B's deepest are about ten.
DEEPEST = 16


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Numbers and histograms of samples; those of two sets can be added.

    samples, masks, ignored: numbers of samples, of all masks, and of masks to ignore.
    left_out: annotations that the reader could not take.
    image_bytes: bytes of all images.
    areas: bin k counts the masks of 2^k to 2^(k+1) - 1 pixels.
    masks_an_image: bin k counts the images with 2^(k-1) to 2^k - 1 masks; bin 0 those without a
        mask.
    sides: bin k counts the images whose longer side has 2^(k-1) to 2^k - 1 pixels.
    depths: bin k counts the masks inside k others; the last bin also those inside more.
    smallest_hw, largest_hw: the smallest and the largest image, by number of pixels.

    Example:
        >>> (Counts(samples=1, areas=(0, 2)) + Counts(samples=3, areas=(1,))).areas
        (1, 2)
    """

    samples: int = 0
    masks: int = 0
    ignored: int = 0
    left_out: int = 0
    image_bytes: int = 0
    areas: tuple[int, ...] = ()
    masks_an_image: tuple[int, ...] = ()
    sides: tuple[int, ...] = ()
    depths: tuple[int, ...] = ()
    smallest_hw: tuple[int, int] | None = None
    largest_hw: tuple[int, int] | None = None

    def __add__(self, other: "Counts") -> "Counts":
        """Return the counts of both sets together."""
        sizes = [s for c in (self, other) for s in (c.smallest_hw, c.largest_hw) if s is not None]
        return Counts(
            samples=self.samples + other.samples,
            masks=self.masks + other.masks,
            ignored=self.ignored + other.ignored,
            left_out=self.left_out + other.left_out,
            image_bytes=self.image_bytes + other.image_bytes,
            areas=_added(self.areas, other.areas),
            masks_an_image=_added(self.masks_an_image, other.masks_an_image),
            sides=_added(self.sides, other.sides),
            depths=_added(self.depths, other.depths),
            smallest_hw=min(sizes, key=_by_pixels, default=None),
            largest_hw=max(sizes, key=_by_pixels, default=None),
        )


class Tally:
    """Counts samples one by one.

    Example:
        >>> tally = Tally()
        >>> one = Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2))
        >>> tally.add_record([one], (2, 2), image_bytes=70)
        >>> tally.counts().areas  # one mask of 2^2 to 2^3 - 1 pixels
        (0, 0, 1)
    """

    def __init__(self) -> None:
        self._image_bytes = self._ignored = self._left_out = 0
        self._areas: list[int] = []
        self._depths: list[int] = []
        self._masks: list[int] = []
        self._sizes: list[tuple[int, int]] = []

    def add(self, sample: Sample) -> None:
        """Count a sample."""
        self._left_out += len(sample.left_out)
        self.add_record(sample.annotations, sample.size_hw, len(sample.image))

    def add_record(
        self, annotations: Sequence[Annotation], size_hw: tuple[int, int], image_bytes: int
    ) -> None:
        """Count a sample whose image has not been read."""
        self._image_bytes += image_bytes
        self._ignored += sum(annotation.ignore for annotation in annotations)
        self._areas += [annotation.area for annotation in annotations]
        self._depths += depths(annotations)
        self._masks.append(len(annotations))
        self._sizes.append(size_hw)

    def counts(self) -> Counts:
        """Return the counts so far."""
        longer = [max(size) for size in self._sizes]
        return Counts(
            samples=len(self._masks),
            masks=len(self._areas),
            ignored=self._ignored,
            left_out=self._left_out,
            image_bytes=self._image_bytes,
            areas=_histogram([max(area.bit_length() - 1, 0) for area in self._areas]),
            masks_an_image=_histogram([number.bit_length() for number in self._masks]),
            sides=_histogram([side.bit_length() for side in longer]),
            depths=_histogram(self._depths),
            smallest_hw=min(self._sizes, key=_by_pixels, default=None),
            largest_hw=max(self._sizes, key=_by_pixels, default=None),
        )


def depths(annotations: Iterable[Annotation]) -> list[int]:
    """Return for each annotation the number of masks around it, at most DEEPEST.

    Example:
        >>> whole = Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2))
        >>> part = Annotation(id=2, counts="01", area=1, box_xywh=(0, 0, 1, 1), parent=1)
        >>> depths([whole, part])
        [0, 1]
    """
    parents = {annotation.id: annotation.parent for annotation in annotations}
    number_around = []
    for parent in parents.values():
        depth = 0
        while parent is not None and depth < DEEPEST:
            depth, parent = depth + 1, parents.get(parent)
        number_around.append(depth)
    return number_around


def counts_as_json(counts: Counts) -> dict[str, Any]:
    """Return the counts as plain values.

    Example:
        >>> counts_as_json(Counts(samples=2, masks=5))["masks"]
        5
    """
    return asdict(counts)


def counts_from_json(value: Mapping[str, Any]) -> Counts:
    """Return the counts that `counts_as_json` gave, read back from JSON.

    Example:
        >>> counts = Counts(samples=2, areas=(0, 3), smallest_hw=(4, 6))
        >>> counts_from_json(counts_as_json(counts)) == counts
        True
    """
    known: dict[str, Any] = {
        field.name: tuple(value[field.name])
        if isinstance(value[field.name], list)
        else value[field.name]
        for field in fields(Counts)
        if field.name in value  # of before there was such a count
    }
    return Counts(**known)


def _histogram(bins: list[int]) -> tuple[int, ...]:
    return tuple(np.bincount(np.array(bins, np.int64)).tolist())


def _added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    short, long = sorted((left, right), key=len)
    return tuple(a + b for a, b in zip(short, long, strict=False)) + long[len(short) :]


def _by_pixels(size_hw: tuple[int, int]) -> tuple[int, int]:
    return size_hw[0] * size_hw[1], size_hw[0]
