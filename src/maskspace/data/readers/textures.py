"""Textures of zero mean and unit variance: procedural ones, and crops of real ones from files."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy import ndimage

from maskspace.types import read_rgb

IMAGES = (".jpeg", ".jpg", ".png")


def grating(rng: np.random.Generator, size_hw: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Return a sinusoidal or square grating with a period of 3 to 12 pixels, at any angle.

    Example:
        >>> texture = grating(np.random.default_rng(0), (16, 16))
        >>> texture.shape, abs(texture.mean()) < 1e-9, texture.var().round(6).item()
        ((16, 16), np.True_, 1.0)
    """
    phase = _ramp(rng, size_hw, rng.uniform(3, 12))
    wave = np.sin(2 * np.pi * phase)
    return standardise(np.sign(wave) if rng.random() < 0.5 else wave)


def checkers(rng: np.random.Generator, size_hw: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Return a rotated checkerboard with fields of 2 to 7 pixels.

    Example:
        >>> np.unique(checkers(np.random.default_rng(0), (16, 16)).round(6)).size  # two values
        2
    """
    angle, field = rng.uniform(0, np.pi), rng.uniform(2, 7)
    rows, columns = np.indices(size_hw)
    across = np.floor((rows * np.cos(angle) + columns * np.sin(angle)) / field)
    along = np.floor((columns * np.cos(angle) - rows * np.sin(angle)) / field)
    return standardise((across + along) % 2)


def dots(rng: np.random.Generator, size_hw: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Return discs on a jittered grid, bright on dark or dark on bright.

    Example:
        >>> np.unique(dots(np.random.default_rng(0), (16, 16)).round(6)).size  # two values
        2
    """
    period, sign = rng.uniform(5, 11), rng.choice([-1.0, 1.0])
    grid = [np.arange(-period, size + period, period) for size in size_hw]
    centres = np.stack(np.meshgrid(*grid, indexing="ij"), -1).reshape(-1, 2)
    centres = np.rint(centres + rng.uniform(-0.15, 0.15, centres.shape) * period).astype(int)
    is_inside = ((centres >= 0) & (centres < size_hw)).all(axis=1)
    seeds = np.ones(size_hw, bool)
    seeds[tuple(centres[is_inside].T)] = False
    distance = np.asarray(ndimage.distance_transform_edt(seeds))
    return standardise(sign * (distance < rng.uniform(0.2, 0.34) * period))


def noise_field(rng: np.random.Generator, size_hw: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Return band-passed Gaussian noise, isotropic or stretched along an axis.

    Example:
        >>> texture = noise_field(np.random.default_rng(0), (16, 16))
        >>> texture.shape, abs(texture.mean()) < 1e-9, texture.var().round(6).item()
        ((16, 16), np.True_, 1.0)
    """
    sigma = rng.uniform(0.6, 3.0) * np.exp(
        rng.choice([0.0, 0.7]) * np.array([1, -1]) * rng.choice([-1, 1])
    )
    white = rng.standard_normal(size_hw)
    fine = ndimage.gaussian_filter(white, sigma, mode="wrap")
    return standardise(fine - ndimage.gaussian_filter(white, 2.5 * sigma, mode="wrap"))


def speckle(rng: np.random.Generator, size_hw: tuple[int, int]) -> Float64[np.ndarray, "h w"]:
    """Return sparse bright or dark pixels on a flat ground.

    Example:
        >>> values = speckle(np.random.default_rng(0), (32, 32)).round(6)
        >>> bool((values == np.median(values)).mean() > 0.5)  # most of the ground is flat
        True
    """
    share, sign = rng.uniform(0.04, 0.2), rng.choice([-1.0, 1.0])
    return standardise(sign * (rng.random(size_hw) < share).astype(np.float64))


#: Procedural textures by name.
TEXTURES: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "checkers": checkers,
    "dots": dots,
    "grating": grating,
    "noise_field": noise_field,
    "speckle": speckle,
}


def standardise(values: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Return the values less their mean over rows and columns, with variance 1; 0 if constant.

    The last axis of three is a channel: each has its own mean, all share one variance.

    Example:
        >>> values = standardise(np.array([[1.0, 3.0], [1.0, 3.0]]))
        >>> values.mean().item(), values.var().item()
        (0.0, 1.0)
    """
    centred = values - values.mean(axis=(0, 1), keepdims=True)
    return centred / max(float(np.sqrt(np.mean(centred**2))), 1e-9)


def _ramp(
    rng: np.random.Generator, size_hw: tuple[int, int], period: float
) -> Float64[np.ndarray, "h w"]:
    """Return a plane that grows by 1 every `period` pixels in a random direction."""
    angle = rng.uniform(0, np.pi)
    rows, columns = np.indices(size_hw)
    return (rows * np.cos(angle) + columns * np.sin(angle)) / period + rng.random()


@lru_cache(maxsize=4)
def real_textures(root: str) -> tuple[Float64[np.ndarray, "h w 3"], ...]:
    """Return every PNG and JPEG file in a folder, by name, as RGB in grey levels.

    The last four folders are kept in memory. Raises ValueError for a folder without such files.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.images import encode_png
        >>> root = Path(tempfile.mkdtemp())
        >>> _ = root.joinpath("brick.png").write_bytes(encode_png(np.full((4, 6, 3), 7, np.uint8)))
        >>> [texture.shape for texture in real_textures(str(root))]
        [(4, 6, 3)]
    """
    folder = Path(root)
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGES)
    if not paths:
        raise ValueError(f"{root}: no PNG or JPEG textures; `dvc pull`, or correct the root")
    return tuple(read_rgb(str(path)).astype(np.float64) for path in paths)


def crop_real(
    rng: np.random.Generator, texture: Float64[np.ndarray, "r s 3"], size_hw: tuple[int, int]
) -> Float64[np.ndarray, "h w 3"]:
    """Return a random window of a real texture, standardised.

    The texture is turned by a random number of quarter turns, and mirrored at its sides where it is
    smaller than `size_hw`.

    Example:
        >>> texture = np.random.default_rng(0).uniform(0, 255, (40, 50, 3))
        >>> crop = crop_real(np.random.default_rng(0), texture, (16, 64))
        >>> crop.shape, crop.var().round(6).item()
        ((16, 64, 3), 1.0)
    """
    turned = np.rot90(texture, int(rng.integers(4)))
    missing = [max(0, wanted - side) for wanted, side in zip(size_hw, turned.shape, strict=False)]
    padded = (
        np.pad(turned, [(0, missing[0]), (0, missing[1]), (0, 0)], mode="reflect")
        if any(missing)
        else turned
    )
    top, left = (
        int(rng.integers(0, side - wanted + 1))
        for side, wanted in zip(padded.shape, size_hw, strict=False)
    )
    return standardise(padded[top : top + size_hw[0], left : left + size_hw[1]])
