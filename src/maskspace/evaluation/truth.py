"""The ground truth that a model is measured against: the masks of a sample that count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from maskspace import masks
from maskspace.data.dense import dense
from maskspace.metrics.boundary import region_boundaries, thinned
from maskspace.types import Category, Sample

#: The largest share of pixels without a region in a truth that is a partition.
PARTIAL = 0.05


@dataclass(frozen=True, kw_only=True)
class Truth:
    """An image and its true masks, without ignored pixels.

    key, image: those of the sample.
    masks, ids: the masks that are large enough, and their ids.
    ignore: pixels that do not count.
    too_small: number of masks that are too small.
    label_maps: a map of each annotator, with masks of every size, the smallest on top, 0 where
        there is none; an annotator of nothing visible has no map.
    left_out: annotations that the reader could not take.
    things: name of each class of the dataset -> whether it is a thing (True) or stuff. Class k,
        from 1, is the k-th of them.
    classes: the class of each mask; 0 is no class.
    class_map: the class at each pixel, from masks of every size; 0 is no class.

    Example:
        >>> mask = np.zeros((1, 4, 4), bool)
        >>> mask[0, :2] = True
        >>> truth = Truth(
        ...     key="a", image=np.zeros((4, 4, 3), np.uint8), masks=mask, ids=(1,), too_small=0,
        ...     ignore=np.zeros((4, 4), bool), label_maps=(mask[0].astype(np.int64),))
        >>> truth.unlabelled, truth.is_partition  # half of the image is in no mask
        (0.5, False)
    """

    key: str
    image: UInt8[np.ndarray, "h w 3"]
    masks: Bool[np.ndarray, "n h w"]
    ids: tuple[int, ...]
    ignore: Bool[np.ndarray, "h w"]
    too_small: int
    label_maps: tuple[Int64[np.ndarray, "h w"], ...]
    left_out: int = 0
    things: Mapping[str, bool] = field(default_factory=dict)
    classes: tuple[int, ...] = ()
    class_map: Int64[np.ndarray, "h w"] | None = None

    @cached_property
    def unlabelled(self) -> float:
        """Return the share of the counted pixels, in [0, 1], that no mask covers.

        With several annotators it is the largest of their shares; it is 1 without a map.
        """
        counted = ~self.ignore
        number = max(1, int(counted.sum()))
        without_mask = (float(((labels == 0) & counted).sum()) for labels in self.label_maps)
        return max(without_mask, default=float(number)) / number

    @property
    def is_partition(self) -> bool:
        """Return whether the masks cover all pixels but a share of at most PARTIAL."""
        return self.unlabelled <= PARTIAL

    @cached_property
    def boundaries(self) -> list[Bool[np.ndarray, "h w"]]:
        """Return the boundaries of each annotator's regions, thinned."""
        return [thinned(region_boundaries(labels)) for labels in self.label_maps]

    def require_size(self, shape: tuple[int, ...], answer: str) -> None:
        """Raise ValueError if an answer, described in words, has not the image's size."""
        if shape != self.ignore.shape:
            raise ValueError(
                f"{answer} of {shape} pixels for an image of {self.ignore.shape}; its answers must "
                "have the image's size"
            )


def read_truth(sample: Sample, *, min_area: int, categories: Sequence[Category] = ()) -> Truth:
    """Return the truth of a sample.

    ValueError, naming the sample, if the image cannot be read or has not the masks' size.

    Args:
        sample: the sample.
        min_area: least pixels of a mask, in the original image and without ignored pixels.
        categories: the table to which the sample's annotations refer (default: empty, so that masks
            have no class).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> truth = read_truth(sample, min_area=100)
        >>> truth.masks.shape[1:], bool((truth.masks.sum(axis=(1, 2)) >= 100).all())
        ((64, 64), True)
    """
    arrays = dense(sample)
    visible = arrays.masks & ~arrays.ignore if arrays.ignore.any() else arrays.masks
    large = masks.areas(visible) >= min_area
    things = {one.name: one.is_thing for one in categories}
    numbers = {name: number for number, name in enumerate(things, start=1)}
    number_of = {one.id: numbers[one.name] for one in categories}
    classes = np.array([number_of.get(one, 0) for one in arrays.categories.tolist()], np.int64)
    return Truth(
        key=sample.key,
        image=arrays.image,
        masks=visible[large],
        ids=tuple(arrays.ids[large].tolist()),
        ignore=arrays.ignore,
        too_small=int((~large).sum()),
        left_out=len(sample.left_out),
        label_maps=tuple(
            labels
            for layer in np.unique(arrays.layers)
            if (labels := masks.to_label_map(visible[arrays.layers == layer])).any()
        ),
        things=things,
        classes=tuple(classes[large].tolist()),
        class_map=np.concatenate([[0], classes])[masks.to_label_map(visible)] if things else None,
    )
