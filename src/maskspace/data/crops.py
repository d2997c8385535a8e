"""Crops: a sample -> the square arrays that training reads, and label maps of them.

Input: a sample as it is stored, its image a JPEG or PNG, its masks run lengths.
Idea: nothing is made larger than the crop needs it.
Steps: draw a window; decode the JPEG at a fraction of its size where the window is shrunk, and cut
    it out; decode the run lengths of the masks whose boxes meet the window, at the rows and columns
    that the crop shows; flip, turn and recolour.
Cost: the JPEG's own decoding, and masks times pixels of the crop, however large the photo is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from maskspace.config import section
from maskspace.data.camera import Camera, photograph
from maskspace.data.dense import category_ids, read_pixels
from maskspace.data.placement import Placement, letterbox, stretch
from maskspace.masks.coded import decode_sampled
from maskspace.masks.dense import to_label_map
from maskspace.types import Annotation, Sample

#: How much finer than a crop a JPEG is decoded at least, where it is shrunk: at 1 the photo that
#: differs most from the whole one would do so by 7 of 255 levels on average, at 1.5 by 2.5.
FINER = 1.5
#: Of a square above 1 the part outside the image is mirrored twice at most.
MOST_SCALE = 3


@section
class Crops:
    """How a training crop is taken: a window of the image, as a square of `size` pixels a side.

    Args:
        size: pixels a side of the crop.
        placement: "square" takes squares of `min_scale` to `max_scale` times the shorter side; a
            square above 1 shows more than the image has: the rest repeats the image, mirrored,
            and is ignored. "stretch" takes windows whose height and width are each as many times
            the image's, stretched to the square, as SegNext sees images in its evaluation.
            "letterbox" keeps the image's aspect and lays the window on black, as SegNext sees them
            in its training.
        augment: with false nothing is drawn: the whole image, or the middle square, as it is.
        min_scale, max_scale: see `placement`; at most 1, and 3 for "square".
        turns: turn by a random number of quarters; suits generated images more than photos.
        shuffle_channels: put red, green and blue in a random order; the same.
        contrast: largest share of contrast that is added or taken, in [0, 1).
        brightness: largest shift, as a share of the range of values, in [0, 1); each channel by
            itself is shifted by up to half as much again.
        camera: changes of tone, blur, noise and JPEG (default None: none).

    Example:
        >>> Crops(
        ...     size=64,
        ...     placement="square",
        ...     augment=True,
        ...     min_scale=0.5,
        ...     max_scale=1.0,
        ...     turns=False,
        ...     shuffle_channels=False,
        ...     contrast=0.2,
        ...     brightness=0.1,
        ... ).placement
        'square'
    """

    size: int
    placement: Literal["square", "stretch", "letterbox"]
    augment: bool
    min_scale: float
    max_scale: float
    turns: bool
    shuffle_channels: bool
    contrast: float
    brightness: float
    camera: Camera | None = None

    def __post_init__(self) -> None:
        """Refuse what is no crop."""
        most = MOST_SCALE if self.placement == "square" else 1
        if self.size < 1 or not 0 < self.min_scale <= self.max_scale <= most:
            raise ValueError(
                f"crops: size is at least 1, min_scale and max_scale ascend in (0, {most}] "
                f"for placement {self.placement}"
            )
        if not (0 <= self.contrast < 1 and 0 <= self.brightness < 1):
            raise ValueError("crops: contrast and brightness are in [0, 1)")


@dataclass(frozen=True)
class Crop:
    """A square piece of a sample: its image, and the masks that have a pixel in it.

    depths: how many masks of the same layer contain each, 0 for whole objects.
    scores: the confidence of each in [0, 1].
    layers: the person or pass that each is of, from 0.
    categories: the id of the category that each is of, NO_CATEGORY (-1) without one.
    ignore: pixels that count neither for nor against anything.

    Example:
        >>> crop = Crop(
        ...     image=np.zeros((2, 2, 3), np.uint8),
        ...     masks=np.ones((1, 2, 2), bool),
        ...     depths=np.zeros(1, np.int64),
        ...     scores=np.ones(1, np.float32),
        ...     layers=np.zeros(1, np.int64),
        ...     categories=np.array([-1]),
        ...     ignore=np.zeros((2, 2), bool),
        ... )
        >>> label_map_at_depth(crop, 0).tolist()
        [[1, 1], [1, 1]]
    """

    image: UInt8[np.ndarray, "s s 3"]
    masks: Bool[np.ndarray, "n s s"]
    depths: Int64[np.ndarray, " n"]
    scores: Float32[np.ndarray, " n"]
    layers: Int64[np.ndarray, " n"]
    categories: Int64[np.ndarray, " n"]
    ignore: Bool[np.ndarray, "s s"]


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle in an image's pixels; it may reach beyond the image on all sides.

    top, left: its first row and column.
    height, width: its size.

    Example:
        >>> window = Window(top=0, left=0, height=4, width=4)
        >>> window.meets((3, 3, 2, 2)), window.meets((4, 0, 2, 2))
        (True, False)
    """

    top: int
    left: int
    height: int
    width: int

    def meets(self, box_xywh: tuple[int, int, int, int]) -> bool:
        """Return whether a box has a pixel in the window."""
        x, y, width, height = box_xywh
        return (
            self.left < x + width
            and x < self.left + self.width
            and self.top < y + height
            and y < self.top + self.height
        )

    def within(self, size_hw: tuple[int, int]) -> "Window":
        """Return the part of the window that lies in an image of this size."""
        top, left = max(self.top, 0), max(self.left, 0)
        bottom = min(self.top + self.height, size_hw[0])
        right = min(self.left + self.width, size_hw[1])
        return Window(top=top, left=left, height=bottom - top, width=right - left)


def random_crop(
    sample: Sample, crops: Crops, generator: np.random.Generator, *, least_score: float = 0.0
) -> Crop:
    """Return a random window of a sample as a square, flipped, turned and recoloured.

    The image is resized bilinearly and antialiased, masks by nearest neighbour; masks without a
    pixel in the window are dropped. Without `crops.augment` the window is the whole image, or for
    "square" its middle, and nothing is changed. ValueError, with the sample's key, for a damaged
    sample.

    Args:
        sample: the sample.
        crops: how crops are drawn.
        generator: draws the crop.
        least_score: masks with a lower score are left out, in [0, 1] (default 0).

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> crops = Crops(
        ...     size=32,
        ...     placement="square",
        ...     augment=False,
        ...     min_scale=1.0,
        ...     max_scale=1.0,
        ...     turns=False,
        ...     shuffle_channels=False,
        ...     contrast=0.0,
        ...     brightness=0.0,
        ... )
        >>> crop = random_crop(sample, crops, np.random.default_rng(0))
        >>> crop.image.shape, crop.masks.shape[1:]
        ((32, 32, 3), (32, 32))
    """
    window = draw_window(sample.size_hw, crops, generator)
    inside = window.within(sample.size_hw)
    placement = _placed(window, inside, crops)
    image = crop_image(sample, inside, placement)
    chosen = [
        index
        for index, one in enumerate(sample.annotations)
        if window.meets(one.box_xywh) and (one.ignore or one.score >= least_score)
    ]
    masks = crop_masks(sample, chosen, inside, placement)
    beyond = np.zeros(placement.canvas_hw, bool)
    if inside != window:
        image = _mirrored(image, placement)
        beyond = ~_covered(placement)
    if crops.augment:
        turns = int(generator.integers(4)) if crops.turns else 0
        image, beyond = np.rot90(image, turns), np.rot90(beyond, turns)
        masks = np.rot90(masks, turns, axes=(1, 2))
        if generator.integers(2):
            image, masks, beyond = image[:, ::-1], masks[:, :, ::-1], beyond[:, ::-1]
        image = _recoloured(image, crops, generator)
        if crops.camera is not None:
            image = photograph(image, crops.camera, generator)
    return _crop(sample.annotations, chosen, image, masks, beyond=beyond)


def _crop(
    annotations: Sequence[Annotation],
    chosen: Sequence[int],
    image: UInt8[np.ndarray, "s s 3"],
    masks: Bool[np.ndarray, "n s s"],
    *,
    beyond: Bool[np.ndarray, "s s"],
) -> Crop:
    """Return a crop with the masks of the chosen annotations; those to ignore become `ignore`.

    Pixels `beyond` the image are ignored too.
    """
    ignored = np.array([annotations[index].ignore for index in chosen], bool)
    is_shown = masks.any(axis=(1, 2)) & ~ignored
    shown_indices = np.array(chosen, np.int64)[is_shown]
    return Crop(
        image=np.ascontiguousarray(image),
        masks=np.ascontiguousarray(masks if is_shown.all() else masks[is_shown]),
        depths=nesting_depths(annotations)[shown_indices],
        scores=np.array([annotations[index].score for index in shown_indices], np.float32),
        layers=np.array([annotations[index].layer for index in shown_indices], np.int64),
        categories=category_ids([annotations[index] for index in shown_indices]),
        ignore=np.logical_or.reduce(masks[ignored], axis=0) | beyond,
    )


def draw_window(size_hw: tuple[int, int], crops: Crops, generator: np.random.Generator) -> Window:
    """Return the window of a crop; without `crops.augment` it is the middle.

    Example:
        >>> crops = Crops(
        ...     size=8,
        ...     placement="square",
        ...     augment=False,
        ...     min_scale=1.0,
        ...     max_scale=1.0,
        ...     turns=False,
        ...     shuffle_channels=False,
        ...     contrast=0.0,
        ...     brightness=0.0,
        ... )
        >>> draw_window((10, 20), crops, np.random.default_rng(0))  # the middle square
        Window(top=0, left=5, height=10, width=10)
    """
    height, width = size_hw
    if crops.placement == "square":
        height = width = min(size_hw)
    if not crops.augment:
        top, left = (size_hw[0] - height) // 2, (size_hw[1] - width) // 2
        return Window(top=top, left=left, height=height, width=width)
    shares = generator.uniform(crops.min_scale, crops.max_scale, size=2)
    if crops.placement != "stretch":
        shares[1] = shares[0]
    height, width = max(round(height * shares[0]), 1), max(round(width * shares[1]), 1)
    top, left = (
        int(generator.integers(min(0, whole - side), max(0, whole - side) + 1))
        for whole, side in zip(size_hw, (height, width), strict=True)
    )
    return Window(top=top, left=left, height=height, width=width)


def _placed(window: Window, inside: Window, crops: Crops) -> Placement:
    """Return how the part of a window inside the image is placed on the crop."""
    canvas_hw = (crops.size, crops.size)
    if crops.placement == "letterbox":
        return letterbox((inside.height, inside.width), canvas_hw)
    if inside == window:
        return stretch((inside.height, inside.width), canvas_hw)
    scale = crops.size / window.height  # a square
    corner = [
        round((first - begin) * scale)
        for first, begin in ((inside.top, window.top), (inside.left, window.left))
    ]
    inner = [
        min(max(round(side * scale), 1), crops.size - at)
        for side, at in zip((inside.height, inside.width), corner, strict=True)
    ]
    return Placement(
        source_hw=(inside.height, inside.width),
        inner_hw=(inner[0], inner[1]),
        corner_yx=(corner[0], corner[1]),
        canvas_hw=canvas_hw,
    )


def _mirrored(
    image: UInt8[np.ndarray, "s s 3"], placement: Placement
) -> UInt8[np.ndarray, "s s 3"]:
    """Return a canvas on which the covered part is mirrored over the rest."""
    margins = [
        (at, whole - at - side)
        for at, side, whole in zip(
            placement.corner_yx, placement.inner_hw, placement.canvas_hw, strict=True
        )
    ]
    return np.pad(image[placement.inside], (*margins, (0, 0)), mode="symmetric")


def _covered(placement: Placement) -> Bool[np.ndarray, "s s"]:
    """Return which pixels of a canvas the image covers."""
    covered = np.zeros(placement.canvas_hw, bool)
    covered[placement.inside] = True
    return covered


def crop_image(sample: Sample, window: Window, placement: Placement) -> UInt8[np.ndarray, "r s 3"]:
    """Return a window of a sample's image on a canvas; the rest of the canvas is black.

    A JPEG that is shrunk is decoded at 1/8, 1/4 or 1/2 of its size, if that is still FINER times
    the size shown. The result then differs from shrinking the whole image in how details are
    averaged.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> window = Window(top=0, left=0, height=32, width=64)
        >>> crop_image(sample, window, stretch((32, 64), (16, 16))).shape
        (16, 16, 3)
    """
    rows, columns = placement.inner_hw
    height, width = sample.size_hw
    least_hw = (
        math.ceil(FINER * rows * height / window.height),
        math.ceil(FINER * columns * width / window.width),
    )
    pixels = read_pixels(sample, least_hw=least_hw)
    # a pixel of what is decoded stands for `part` x `part` of the image, the last ones for fewer
    sizes = {part: (-(-height // part), -(-width // part)) for part in (8, 4, 2, 1)}
    part = next(part for part, size_hw in sizes.items() if size_hw == pixels.shape[:2])
    top, bottom = window.top / part, (window.top + window.height) / part
    left, right = window.left / part, (window.left + window.width) / part
    row, column = math.floor(top), math.floor(left)
    cut = pixels[row : math.ceil(bottom), column : math.ceil(right)]
    box = (left - column, top - row, right - column, bottom - row)
    canvas = np.zeros((*placement.canvas_hw, 3), np.uint8)
    canvas[placement.inside] = _resized(cut, (rows, columns), box)
    return canvas


def _resized(
    image: UInt8[np.ndarray, "h w 3"],
    size_hw: tuple[int, int],
    box: tuple[float, float, float, float],
) -> UInt8[np.ndarray, "r s 3"]:
    """Return a box (left, top, right, bottom) of an image, resized bilinearly and antialiased."""
    if image.shape[:2] == size_hw and box == (0, 0, size_hw[1], size_hw[0]):
        return image
    rows, columns = size_hw
    resized = Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR, box=box)
    return np.asarray(resized)


def crop_masks(
    sample: Sample, chosen: Sequence[int], window: Window, placement: Placement
) -> Bool[np.ndarray, "n s s"]:
    """Return a window of the chosen annotations' masks on a canvas, by nearest neighbour.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> sample = read_rectangles("", seed=0, limit=1)[0]
        >>> whole = Window(top=0, left=0, height=64, width=64)
        >>> masks = crop_masks(sample, [0], whole, stretch((64, 64), (64, 64)))
        >>> masks.sum().item() == sample.annotations[0].area
        True
    """
    rows, columns = placement.nearest
    counts = [sample.annotations[index].counts for index in chosen]
    try:
        inner = decode_sampled(counts, sample.size_hw, window.top + rows, window.left + columns)
    except ValueError as error:
        raise ValueError(f"{sample.key}: {error}; make the sample again") from None
    if placement.inner_hw == placement.canvas_hw:
        return inner
    canvas = np.zeros((len(chosen), *placement.canvas_hw), bool)
    canvas[(slice(None), *placement.inside)] = inner
    return canvas


def _recoloured(
    image: UInt8[np.ndarray, "h w 3"], crops: Crops, generator: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    if crops.shuffle_channels:
        image = image[..., generator.permutation(3)]
    contrast = 1 + crops.contrast * generator.uniform(-1, 1)
    shift = 255 * crops.brightness * (generator.uniform(-1, 1) + generator.uniform(-0.5, 0.5, 3))
    changed = (image.astype(np.float32) - 127.5) * contrast + 127.5 + shift
    return changed.clip(0, 255).astype(np.uint8)


def nesting_depths(annotations: Sequence[Annotation]) -> Int64[np.ndarray, " n"]:
    """Return how many masks of its own layer contain each annotation, by the chain of parents.

    A parent that is not among the annotations counts as none.

    Example:
        >>> whole = Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2))
        >>> part = Annotation(id=2, counts="01", area=1, box_xywh=(0, 0, 1, 1), parent=1)
        >>> nesting_depths([whole, part]).tolist()
        [0, 1]
    """
    known = {one.id: one for one in annotations}
    depths = np.zeros(len(annotations), np.int64)
    for index, one in enumerate(annotations):
        num_steps, above = 0, one.parent
        while above in known and num_steps < len(known):
            depths[index] += known[above].layer == one.layer
            num_steps, above = num_steps + 1, known[above].parent
    return depths


def label_map_at_depth(
    crop: Crop, depth: int, *, layer: int | None = None
) -> Int64[np.ndarray, "s s"]:
    """Return the label map of the finest masks whose depth in the nest is at most `depth`.

    It is 0 where there is no such mask. At depth 0 these are whole objects, at the largest depth
    sub-parts.

    Args:
        crop: the crop.
        depth: the largest depth.
        layer: the layer of the masks (default None: the lowest layer of the crop).

    Example:
        >>> masks = np.array([[[1, 1], [1, 1]], [[1, 1], [0, 0]]], bool)  # object, its part
        >>> depths = np.array([0, 1])
        >>> none, layers = np.zeros((2, 2), bool), np.zeros(2, np.int64)
        >>> image, scores = np.zeros((2, 2, 3), np.uint8), np.ones(2, np.float32)
        >>> crop = Crop(image, masks, depths, scores, layers, layers, none)
        >>> label_map_at_depth(crop, 0).tolist(), label_map_at_depth(crop, 1).tolist()
        ([[1, 1], [1, 1]], [[2, 2], [1, 1]])
    """
    chosen = crop.layers.min(initial=np.iinfo(np.int64).max) if layer is None else layer
    return to_label_map(crop.masks[(crop.layers == chosen) & (crop.depths <= depth)])


def random_label_map(crop: Crop, generator: np.random.Generator) -> Int64[np.ndarray, "s s"]:
    """Return the label map of a random layer at a random level of its nest.

    One label map cannot hold nested masks, or the masks of several people. Over many draws an
    embedding sees all of them; pixels that share more levels then end nearer to each other.

    Example:
        >>> masks = np.array([[[1, 1], [1, 1]], [[1, 1], [0, 0]]], bool)  # object, its part
        >>> depths = np.array([0, 1])
        >>> none, layers = np.zeros((2, 2), bool), np.zeros(2, np.int64)
        >>> image, scores = np.zeros((2, 2, 3), np.uint8), np.ones(2, np.float32)
        >>> crop = Crop(image, masks, depths, scores, layers, layers, none)
        >>> rng = np.random.default_rng(0)
        >>> sorted({random_label_map(crop, rng).max().item() for _ in range(20)})
        [1, 2]
    """
    layers = np.unique(crop.layers)
    layer = int(layers[generator.integers(len(layers))]) if len(layers) else 0
    deepest = int(crop.depths[crop.layers == layer].max(initial=0))
    return label_map_at_depth(crop, int(generator.integers(deepest + 1)), layer=layer)
