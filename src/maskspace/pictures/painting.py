"""Masks, label maps, probabilities, directions and features in colour, as arrays."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image, ImageDraw

from maskspace import masks as mask_algebra

#: Black, violet, red, orange, pale yellow: a ramp that is also ordered in grey.
RAMP = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
GOLDEN_RATIO = 0.6180339887498949
INK, PAPER = (33, 37, 41), (255, 255, 255)

#: Pixels that are painted at once.
_AT_ONCE = 2**19


def label_colors(labels: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3"]:
    """Return the RGB colour of each label: always the same for the same label.

    Hues advance by the golden ratio, so that any run of labels is spread over the circle, and three
    lightnesses take turns where the hues come close again.

    Example:
        >>> label_colors(np.array([1, 2, 1])).tolist()  # the same label has the same colour
        [[64, 62, 250], [116, 250, 62], [64, 62, 250]]
    """
    hue = (0.05 + labels * GOLDEN_RATIO) % 1
    turn = labels // 5 % 3
    value = np.choose(turn, [0.98, 0.72, 0.86])
    saturation = np.choose(turn, [0.75, 0.80, 0.45])
    offsets = (hue[:, None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    ramp = np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
    rgb = value[:, None] * (1 - saturation[:, None] * ramp)
    return np.round(rgb * 255).astype(np.uint8)


def outlines(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose right, lower or lower right neighbour has another label.

    Example:
        >>> outlines(np.array([[1, 1, 2]])).astype(int).tolist()
        [[0, 1, 0]]
    """
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def paint_labels(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"], *, opacity: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with each label in its colour and white outlines; 0 stays, darkened.

    Example:
        >>> grey = np.full((1, 3, 3), 100, np.uint8)
        >>> painted = paint_labels(grey, np.array([[0, 0, 1]]))
        >>> painted[0].tolist()  # darkened, a white outline, the colour of label 1
        [[50, 50, 50], [255, 255, 255], [78, 77, 190]]
    """
    values = np.unique(labels)
    palette = np.where(values[:, None] == 0, 0, label_colors(values))
    painted = np.empty_like(image)
    step = max(1, _AT_ONCE // image.shape[1])
    for begin in range(0, len(image), step):  # of a large photo all at once would take gigabytes
        part = slice(begin, begin + step)
        strength = np.where(labels[part] == 0, 0.5, opacity)[..., None]
        colors = palette[np.searchsorted(values, labels[part])]
        painted[part] = np.round(image[part] * (1 - strength) + colors * strength)
    painted[outlines(labels)] = PAPER
    return painted


def paint_masks(
    image: UInt8[np.ndarray, "h w 3"], masks: Bool[np.ndarray, "n h w"], *, opacity: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with the masks in colour, smaller ones above larger ones.

    Example:
        >>> grey = np.full((4, 4, 3), 100, np.uint8)
        >>> mask = np.zeros((1, 4, 4), bool)
        >>> mask[0, :2] = True
        >>> paint_masks(grey, mask)[:, 0, 0].tolist()  # coloured, its outline, darkened, darkened
        [78, 255, 50, 50]
    """
    return paint_labels(image, mask_algebra.to_label_map(masks), opacity=opacity)


def ramp_colors(values: Float[np.ndarray, "*size"]) -> UInt8[np.ndarray, "*size 3"]:
    """Return values in [0, 1] as colours of `RAMP`, dark to light; others as the nearest end.

    Example:
        >>> ramp_colors(np.array([0.0, 1.0, 2.0])).tolist()  # the ends of RAMP
        [[0, 0, 4], [252, 255, 164], [252, 255, 164]]
    """
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(values, stops, channel) for channel in np.transpose(RAMP)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def direction_colors(vectors: Float[np.ndarray, "2 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return vectors (x, y) as colours: the hue says where to, the brightness how far.

    Right is red, down yellow-green, left cyan, up violet; the longest vector is the brightest.

    Example:
        >>> right_and_left = np.array([[[1.0, -1.0]], [[0.0, 0.0]]])
        >>> direction_colors(right_and_left)[0].tolist()  # red and cyan
        [[255, 0, 0], [0, 255, 255]]
    """
    length = np.hypot(vectors[0], vectors[1])
    hue = np.arctan2(vectors[1], vectors[0]) / (2 * np.pi) % 1
    offsets = (hue[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    rgb = 1 - np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
    shade = length / max(float(length.max()), 1e-12)
    return np.round(rgb * shade[..., None] * 255).astype(np.uint8)


def paint_errors(
    image: UInt8[np.ndarray, "h w 3"], wrong: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image in dark grey with the wrong pixels in red.

    Example:
        >>> white = np.full((1, 2, 3), 255, np.uint8)
        >>> paint_errors(white, np.array([[False, True]]))[0].tolist()
        [[153, 153, 153], [213, 40, 40]]
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * 0.6
    return np.where(wrong[..., None], (213, 40, 40), grey).round().astype(np.uint8)


def paint_level_lines(
    image: UInt8[np.ndarray, "h w 3"],
    map_: Float[np.ndarray, "h w"],
    *,
    levels: Sequence[float],
    opacity: float = 0.6,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image in grey under the borders of what is above each level, lighter for higher.

    Levels are ascending; where the map passes several between two pixels the highest is drawn.

    Example:
        >>> image = np.zeros((1, 3, 3), np.uint8)
        >>> probability = np.array([[0.1, 0.6, 0.9]])
        >>> painted = paint_level_lines(image, probability, levels=[0.5, 0.8])
        >>> painted.any(axis=2).astype(int).tolist()  # the border at 0.5, then that at 0.8
        [[1, 1, 0]]
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * (1 - opacity)
    painted = np.round(grey).astype(np.uint8)
    # The darkest colours of the ramp would not show on a darkened image.
    colors = ramp_colors(np.linspace(0.3, 1, len(levels)))
    for level, color in zip(levels, colors, strict=True):
        painted[outlines((map_ > level).astype(np.int64))] = color
    return painted


def paint_click(
    image: UInt8[np.ndarray, "h w 3"], click_xy: tuple[int, int], *, radius: int, positive: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with a disk at a pixel, green or red, ringed in white and in ink.

    Example:
        >>> image = np.zeros((16, 16, 3), np.uint8)
        >>> paint_click(image, (8, 8), radius=2, positive=True)[8, 8].tolist()  # green
        [0, 158, 115]
    """
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    fill = (0, 158, 115) if positive else (213, 94, 0)
    for extra, color in ((2, INK), (1, PAPER), (0, fill)):
        pen.circle(click_xy, radius + extra, fill=color)
    return np.array(picture)


def feature_colors(features: Float[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return features as colours: three channels in [0, 1] as they are, one as grey.

    Any other number is projected on its first three principal components, in one common scale
    about mid-grey, so that a component that hardly varies looks as flat as it is.

    Example:
        >>> feature_colors(np.ones((3, 1, 1)))[0, 0].tolist()  # red, green and blue as they are
        [255, 255, 255]
        >>> feature_colors(np.zeros((8, 2, 2)))[0, 0].tolist()  # nothing varies: mid-grey
        [128, 128, 128]
    """
    channels = len(features)
    if channels in (1, 3):
        unit = np.broadcast_to(np.clip(features, 0, 1), (3, *features.shape[1:]))
    else:
        unit = _principal_colors(features.astype(np.float64))
    return np.round(unit.transpose(1, 2, 0) * 255).astype(np.uint8)


def _principal_colors(features: Float[np.ndarray, "c h w"]) -> Float[np.ndarray, "3 h w"]:
    pixels = features.reshape(len(features), -1)
    centered = pixels - pixels.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(centered @ centered.T)
    axes = vectors[:, ::-1][:, :3].T
    # Eigenvectors have no sign of their own; the largest loading is made positive.
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    projected = np.zeros((3, pixels.shape[1]))
    projected[: len(axes)] = axes @ centered
    scale = max(float(np.percentile(np.abs(projected[0]), 99)), 1e-6)
    unit = np.clip(0.5 + 0.5 * projected / scale, 0, 1)
    return unit.reshape(3, *features.shape[1:])
