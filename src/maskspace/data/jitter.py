"""Colour, flips, scale and rotation of a whole batch, on the device that it is on (kornia).

Parameters are drawn apart from being applied, a row at a time from the row's own key: a row changes
in the same way in whatever batch, rank, process or device it is. Masks and label maps follow the
image by nearest neighbour, all of a row through one grid, so that nested masks stay nested and
disjoint ones disjoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from kornia import enhance
from kornia.geometry.transform import warp_affine
from torch import Tensor

_JITTER = 21  # what the generators are for


@dataclass(frozen=True, kw_only=True)
class JitterRanges:
    """How far a batch may be changed.

    `flip_columns` and `flip_rows` are probabilities. `scale` is the least and the largest factor,
    drawn evenly in its logarithm, above 1 larger; `degrees` is the largest rotation either way.
    `brightness` is the largest shift of values in [0, 1]; `contrast` and `saturation` the largest
    share that is added to or taken from them; `hue` the largest turn in radians.
    """

    flip_columns: float = 0.5
    flip_rows: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    degrees: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        """Refuse ranges that are none."""
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"scale {self.scale} is (least, largest), both above 0")
        if not (0 <= self.flip_columns <= 1 and 0 <= self.flip_rows <= 1):
            raise ValueError("flip_columns and flip_rows are probabilities in [0, 1]")
        if not (0 <= self.contrast <= 1 and 0 <= self.saturation <= 1 and self.brightness >= 0):
            raise ValueError("contrast and saturation are in [0, 1], brightness at least 0")
        if self.degrees < 0 or not 0 <= self.hue <= np.pi:
            raise ValueError("degrees are at least 0, hue is in [0, pi]")


@dataclass(frozen=True, kw_only=True)
class Jitter:
    """What is done to each row of a batch; `turn` in radians, against the clock."""

    flip_columns: Bool[Tensor, " b"]
    flip_rows: Bool[Tensor, " b"]
    scale: Float[Tensor, " b"]
    turn: Float[Tensor, " b"]
    brightness: Float[Tensor, " b"]
    contrast: Float[Tensor, " b"]
    saturation: Float[Tensor, " b"]
    hue: Float[Tensor, " b"]


def draw_jitter(ranges: JitterRanges, keys: Sequence[tuple[int, int, int]]) -> Jitter:
    """Return the changes of rows with these keys, such as (seed, epoch, position)."""
    uniform = np.stack([np.random.default_rng((_JITTER, *key)).random(8) for key in keys])  # b 8
    low, high = np.log(ranges.scale)
    signed = 2 * uniform - 1
    values = {
        "scale": np.exp(low + (high - low) * uniform[:, 2]),
        "turn": np.deg2rad(ranges.degrees) * signed[:, 3],
        "brightness": ranges.brightness * signed[:, 4],
        "contrast": 1 + ranges.contrast * signed[:, 5],
        "saturation": 1 + ranges.saturation * signed[:, 6],
        "hue": ranges.hue * signed[:, 7],
    }
    return Jitter(
        flip_columns=torch.from_numpy(uniform[:, 0] < ranges.flip_columns),
        flip_rows=torch.from_numpy(uniform[:, 1] < ranges.flip_rows),
        **{name: torch.from_numpy(value.astype(np.float32)) for name, value in values.items()},
    )


def jitter_images(images: Float[Tensor, "b 3 h w"], jitter: Jitter) -> Float[Tensor, "b 3 h w"]:
    """Return changed images in [0, 1]; what comes in from beyond the border is black."""
    changed = _warped(_flipped(images, jitter), jitter, mode="bilinear")
    device = images.device
    steps = (
        (jitter.brightness, 0.0, enhance.adjust_brightness),
        (jitter.contrast, 1.0, enhance.adjust_contrast),
        (jitter.saturation, 1.0, enhance.adjust_saturation),
        (jitter.hue, 0.0, enhance.adjust_hue),
    )
    for amount, nothing, adjust in steps:
        if (amount != nothing).any():
            changed = adjust(changed, amount.to(device, images.dtype))
    return changed.clamp(0, 1)


def jitter_masks(masks: Shaped[Tensor, "b n h w"], jitter: Jitter) -> Shaped[Tensor, "b n h w"]:
    """Return masks, or label maps below 2**24, changed with their images; 0 beyond the border."""
    flipped = _flipped(masks, jitter)
    if not _moves(jitter):
        return flipped
    return _warped(flipped.float(), jitter, mode="nearest").to(masks.dtype)


def _flipped(batch: Shaped[Tensor, "b c h w"], jitter: Jitter) -> Shaped[Tensor, "b c h w"]:
    for chosen, axis in ((jitter.flip_columns, 3), (jitter.flip_rows, 2)):
        if chosen.any():
            rows = chosen.to(batch.device)[:, None, None, None]
            batch = torch.where(rows, batch.flip(axis), batch)
    return batch


def _moves(jitter: Jitter) -> bool:
    return bool((jitter.scale != 1).any() or (jitter.turn != 0).any())


def _warped(
    batch: Float[Tensor, "b c h w"], jitter: Jitter, *, mode: str
) -> Float[Tensor, "b c h w"]:
    """Return the batch scaled and turned about its middle; as it is where nothing moves."""
    if not _moves(jitter):
        return batch
    height, width = batch.shape[2:]
    cosine, sine = jitter.scale * jitter.turn.cos(), jitter.scale * jitter.turn.sin()
    x, y = (width - 1) / 2, (height - 1) / 2
    matrix = torch.stack(
        [
            torch.stack([cosine, sine, x - cosine * x - sine * y], dim=1),
            torch.stack([-sine, cosine, y + sine * x - cosine * y], dim=1),
        ],
        dim=1,
    )  # b 2 3, from source to target pixels
    return warp_affine(batch, matrix.to(batch), (height, width), mode=mode, padding_mode="zeros")
