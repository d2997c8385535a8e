"""The pixels of a mask file as they are stored, before anybody says what they mean.

One rule for every reader and for the command line:
- a palette comes with its colours;
- alpha is the mask itself where the colour is constant; it is left out where it agrees with the
  colours; else the file is refused;
- values of 1 to 32 bits, signed and floating ones keep their numbers;
- whatever PIL would cut, stretch or turn without a word is refused.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image

from maskspace.data.images import is_turned
from maskspace.rgb import UNREADABLE, open_image

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I", "I;16", "I;16B", "I;16L", "F")
_STRETCHED = {"L;2": 85, "L;4": 17}  # PIL shows 2 and 4 bits as 0..255
_PHOTOMETRIC, _SAMPLE_FORMAT, _UNSIGNED, _SIGNED = 262, 339, 1, 2  # of TIFF


@dataclass(frozen=True, eq=False)
class Stored:
    """The pixels of a mask file.

    Args:
        values: the numbers of one channel (`h w`; of a palette its indices), or the three channels
            of a colour (uint8 `h w 3`).
        palette: the colour of each index (default None: there is no palette).
        lossy: name of the format where it changes values a little, such as "JPEG" (default None).

    Example:
        >>> palette = np.array([[0, 0, 0], [128, 0, 0]], np.uint8)
        >>> Stored(np.array([[0, 1]]), palette=palette).colours.tolist()
        [[[0, 0, 0], [128, 0, 0]]]
    """

    values: Shaped[np.ndarray, "h w *c"]
    palette: UInt8[np.ndarray, "n 3"] | None = None
    lossy: str | None = None

    @property
    def colours(self) -> Shaped[np.ndarray, "h w *c"]:
        """The values; of a palette the colours of its indices."""
        return self.values if self.palette is None else self.palette[self.values]


def stored_pixels(encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None) -> Stored:
    """Return the pixels of an encoded mask; alpha has been dealt with.

    Args:
        encoded: the bytes of the file.
        name: its name in errors.
        size_hw: rows and columns that the file has to have (default None: any).

    Raises ValueError that starts with `name`: it cannot be decoded, has another size, several
    frames, EXIF that turns it, a coding that PIL would change, or alpha that contradicts the
    colours.

    Example:
        >>> from maskspace.data.images import encode_png
        >>> stored = stored_pixels(encode_png(np.full((1, 2, 3), 7, np.uint8)), name="a.png")
        >>> stored.values.tolist(), stored.palette is None
        ([[[7, 7, 7], [7, 7, 7]]], True)
    """
    with open_image(encoded, name=name) as image:
        check_size(image, size_hw, name)
        _check_coding(image, encoded, name)
        scale, sign = _stretched(image), _sign(image)
        maximum = _portable_maximum(image)
        try:
            values = np.asarray(image)
        except UNREADABLE as error:
            raise ValueError(f"{name}: cannot be decoded ({error}); replace the file") from None
        stored = Stored(
            values=_numbers(values, scale=scale, sign=sign, maximum=maximum),
            palette=_palette(image),
            lossy=_lossy(image),
        )
        alpha = _alpha(image, values, stored.values)
    stored = replace(stored, values=_without_alpha(stored.values, image.mode))
    return stored if alpha is None else _shown(stored, alpha, name)


def check_size(image: Image.Image, size_hw: tuple[int, int] | None, name: str) -> None:
    """Raise ValueError for an opened image of another size; nothing of it is decoded.

    `size_hw` is rows and columns, None for any size; `name` begins the error.

    Example:
        >>> image = Image.new("L", (3, 2))  # 3 columns, 2 rows
        >>> check_size(image, (2, 3), "a.png")
        >>> check_size(image, (3, 2), "a.png")
        Traceback (most recent call last):
            ...
        ValueError: a.png: is (2, 3), its image is (3, 2) (h, w); pair them again
    """
    if size_hw is not None and image.size[::-1] != tuple(size_hw):
        raise ValueError(
            f"{name}: is {image.size[::-1]}, its image is {tuple(size_hw)} (h, w); pair them again"
        )


def _check_coding(image: Image.Image, encoded: bytes, name: str) -> None:
    """Refuse what PIL would cut, invert, turn or leave out without a word."""
    raw = _raw(image)
    if image.mode not in _MODES:
        raise ValueError(f"{name}: {image.mode} colours code no mask; save it as grey PNG")
    if ";16" in raw and len(image.getbands()) > 1:
        raise ValueError(f"{name}: 16-bit colour codes no label; store one channel of 16 bits")
    if getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "JPEG"):
        raise ValueError(
            f"{name}: holds {getattr(image, 'n_frames', 1)} frames or pages; save each as a file"
        )
    if is_turned(image, encoded):
        raise ValueError(f"{name}: its EXIF turns it; save it upright and without EXIF")
    tags = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    if tags.get(_PHOTOMETRIC) == 0 and image.mode != "1":
        raise ValueError(f"{name}: white is 0 in this TIFF (its tag 262); save it with black as 0")


def _raw(image: Image.Image) -> str:
    """Return PIL's name of the stored form of the pixels, "" where it has none."""
    first = next(iter(_tile_args(image)), "")
    return first if isinstance(first, str) else ""


def _tile_args(image: Image.Image) -> tuple[object, ...]:
    """Return the arguments with which PIL decodes the first tile: its raw mode, and more."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else ()
    return args if isinstance(args, tuple) else (args,)


def _stretched(image: Image.Image) -> int:
    return next((by for raw, by in _STRETCHED.items() if _raw(image).startswith(raw)), 1)


def _portable_maximum(image: Image.Image) -> int | None:
    """Return the largest value that a PGM or PPM states, where PIL stretches its values."""
    args = _tile_args(image)
    stated = args[1] if image.format == "PPM" and len(args) == 2 else None
    return stated if isinstance(stated, int) else None


def _sign(image: Image.Image) -> np.dtype | None:
    """Return the type of a TIFF's values, where PIL takes another one."""
    if image.format != "TIFF" or image.mode not in ("L", "I"):
        return None
    stated = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (_UNSIGNED,))
    form = stated[0] if isinstance(stated, tuple) else stated
    if image.mode == "L":
        return np.dtype(np.int8) if form == _SIGNED else None
    return np.dtype(np.uint32) if form == _UNSIGNED and _raw(image).startswith("I;32") else None


def _numbers(
    values: np.ndarray, *, scale: int, sign: np.dtype | None, maximum: int | None
) -> np.ndarray:
    """Return the numbers of the file: greys and indices as int64, colours as uint8."""
    if sign is not None:
        values = values.view(sign)
    if maximum is not None:  # PIL has rounded value / maximum * 255 (or 65535 above 255)
        values = np.rint(values.astype(np.float64) * maximum / (65535 if maximum > 255 else 255))
        values = values.astype(np.int64) if values.ndim == 2 else values.astype(np.uint8)
    if values.ndim == 3 or values.dtype.kind == "f":
        return values
    return values.astype(np.int64) // scale


def _lossy(image: Image.Image) -> str | None:
    if image.format in _LOSSY:
        return image.format
    return "JPEG in TIFF" if image.info.get("compression") in _LOSSY_TIFF else None


def _palette(image: Image.Image) -> np.ndarray | None:
    if image.mode not in ("P", "PA"):
        return None
    colours = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)[:256]
    return np.concatenate([colours, np.zeros((256 - len(colours), 3), np.uint8)])


def _alpha(image: Image.Image, decoded: np.ndarray, values: np.ndarray) -> np.ndarray | None:
    """Return the opacity of each pixel, 0 to 255; None where the file has none."""
    if image.mode in ("LA", "PA", "RGBA"):
        return decoded[..., -1]
    transparent = image.info.get("transparency")
    if transparent is None:
        return None
    if isinstance(transparent, bytes):
        table = np.frombuffer(transparent.ljust(256, b"\xff"), np.uint8)
        return table[values]
    if isinstance(transparent, tuple):
        return np.where((values == np.array(transparent)).all(axis=-1), 0, 255).astype(np.uint8)
    transparent = int(bool(transparent)) if image.mode == "1" else transparent
    return np.where(values == transparent, 0, 255).astype(np.uint8)


def _without_alpha(values: np.ndarray, mode: str) -> np.ndarray:
    if mode in ("LA", "PA"):
        return values[..., 0].astype(np.int64)
    return values[..., :3] if mode == "RGBA" else values


def _shown(stored: Stored, alpha: UInt8[np.ndarray, "h w"], name: str) -> Stored:
    """Return what alpha leaves: the pixels, or alpha as the mask where colour is constant."""
    if (alpha == 255).all():
        return stored
    if (alpha == alpha.flat[0]).all():
        raise ValueError(f"{name}: is transparent throughout; store the mask without alpha")
    colours = stored.colours.reshape(*alpha.shape, -1)
    if (colours == colours[0, 0]).all():
        return Stored(values=alpha.astype(np.int64))
    is_background = (colours == 0).all(axis=2)
    if stored.palette is not None:
        is_background |= stored.values == 0
    if np.isin(alpha, (0, 255)).all() and is_background[alpha == 0].all():
        return stored  # transparent where it is black: alpha and colours agree
    raise ValueError(
        f"{name}: is transparent in places, and its colours say something else; store the labels "
        "without alpha"
    )


def flat_between(
    values: Shaped[np.ndarray, "h w"], low: int | float, high: int | float
) -> Bool[np.ndarray, "h w"]:
    """Return the centres of 3 x 3 pixels of one value between two bounds.

    The soft edge of a mask has no such pixels; an object of a label map, or a band of unknown
    pixels, has. The value lies above `low` and below `high`.

    Example:
        >>> values = np.full((3, 4), 128)
        >>> flat_between(values, 0, 255).tolist()
        [[False, False, False, False], [False, True, True, False], [False, False, False, False]]
    """
    is_between = (values > low) & (values < high)
    is_flat = np.zeros(values.shape, bool)
    if min(values.shape) < 3:
        return is_flat
    centre = values[1:-1, 1:-1]
    is_flat_inside = is_between[1:-1, 1:-1].copy()
    height, width = centre.shape
    for down in range(3):
        for right in range(3):
            is_flat_inside &= values[down : down + height, right : right + width] == centre
    is_flat[1:-1, 1:-1] = is_flat_inside
    return is_flat
