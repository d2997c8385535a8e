"""What a mask file means: label maps, binary masks, grey values. All readers ask here.

- Grey: the label is the grey value, of 1 to 32 bits. Three equal channels are grey.
- Colour: each colour is a label of its own, R + 256 G + 65536 B.
- Palette: the colours are looked up. Formats in which the index is the label (VOC, DAVIS, `folder`)
  say so with `coding="index"`.

A file that could mean two things is refused.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64, UInt8

from maskspace.data.images import MAX_FILE_BYTES
from maskspace.data.readers.mask_pixels import Stored, flat_between, stored_pixels
from maskspace.files import AnyPath, bounded_bytes

#: What the label of a pixel is: its grey, the index of its palette, or the code of its colour.
Coding = Literal["grey", "index", "colour"]

#: The void of VOC's and DAVIS's palettes.
VOID = 255
_WHITE = (1, 255, 65535)  # white in 1, 8 and 16 bits


def read_label_map(
    path: AnyPath, size_hw: tuple[int, int] | None = None, *, coding: Coding = "grey"
) -> Int64[np.ndarray, "h w"]:
    """Return the label of each pixel of an image file, at least 0.

    Args:
        path: the file.
        size_hw: rows and columns that the file has to have (default None: any).
        coding: what the label is, see `label_map` (default "grey").

    Raises ValueError that names the file: it cannot be read, is no label map, or has another size.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from maskspace.data.images import encode_png
        >>> path = Path(tempfile.mkdtemp(), "a.png")
        >>> _ = path.write_bytes(encode_png(np.full((1, 2, 3), 7, np.uint8)))
        >>> read_label_map(path, (1, 2)).tolist()
        [[7, 7]]
    """
    return label_map(read_file(path), name=str(path), size_hw=size_hw, coding=coding)


def label_map(
    encoded: bytes,
    *,
    name: str,
    size_hw: tuple[int, int] | None = None,
    coding: Coding = "grey",
    special: Sequence[int] = (0,),
) -> Int64[np.ndarray, "h w"]:
    """Return the label of each pixel of an encoded image.

    Args:
        encoded: the bytes of the image file.
        name: the name of the file in errors.
        size_hw: rows and columns that the file has to have (default None: any).
        coding: "grey": the grey value, or the code R + 256 G + 65536 B of a colour. "index": the
            index in a palette of colours. "colour": the code, also of greys, as in COCO panoptic
            (default "grey").
        special: labels with a meaning of their own, such as the background (default 0). They may be
            below 0. A palette that leaves open which pixels have them is refused.

    Raises ValueError that starts with `name`: a format with losses, floating point, a label below 0
    that is not special, or another size.

    Example:
        >>> from maskspace.data.images import encode_png
        >>> encoded = encode_png(np.array([[[7, 7, 7], [1, 2, 0]]], np.uint8))
        >>> label_map(encoded, name="a.png", coding="colour").tolist()  # R + 256 G + 65536 B
        [[460551, 513]]
    """
    stored = stored_pixels(encoded, name=name, size_hw=size_hw)
    if stored.lossy:
        raise ValueError(f"{name}: {stored.lossy} does not keep labels exactly; store them as PNG")
    if stored.values.dtype.kind == "f":
        raise ValueError(f"{name}: holds floating point; store the labels as whole numbers")
    if coding == "index" and stored.palette is not None:
        return _indices(stored, special, name)
    labels = _plain_labels(stored, coding, name)
    negative = np.setdiff1d(labels[labels < 0], special)
    if len(negative):
        raise ValueError(f"{name}: holds the label {negative[0]}; labels are at least 0")
    return labels


def binary_mask(
    encoded: bytes,
    *,
    name: str,
    size_hw: tuple[int, int] | None = None,
    ignored: int | None = None,
) -> Bool[np.ndarray, "h w"]:
    """Return the pixels of a mask image that are above half of its largest value.

    So 0/1, 0/255, 0/65535, soft edges, and one colour on black are read alike. In a format with
    losses, such as JPEG, the mask is above half of white, 127.

    Args:
        encoded: the bytes of the image file.
        name: the name of the file in errors.
        size_hw: rows and columns that the file has to have (default None: any).
        ignored: a value between black and white that may be there, for the caller to ignore
            (default None).

    Raises ValueError that starts with `name` where areas of other values make it a label map.

    Example:
        >>> from maskspace.data.images import encode_png
        >>> encoded = encode_png(np.array([[[0] * 3, [1] * 3]], np.uint8))  # 0 and 1, as 0 and 255
        >>> binary_mask(encoded, name="a.png").tolist()
        [[False, True]]
    """
    stored = stored_pixels(encoded, name=name, size_hw=size_hw)
    values = _one_channel(stored, name)
    largest = values.max(initial=0).item()
    if stored.lossy:
        if 0 < largest <= 127:
            raise ValueError(f"{name}: values up to {largest}; a mask is 255 inside, 0 outside")
        return values > 127
    _check_binary(values, largest, ignored, name)
    return values > largest / 2


def foreground_mask(
    encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None
) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose largest colour channel is above 0, as SegNext and RITM read masks.

    Every grey above black belongs to the object, not only the lighter half.

    Args:
        encoded: the bytes of the image file.
        name: the name of the file in errors.
        size_hw: rows and columns that the file has to have (default None: any).

    Raises ValueError that starts with `name` for a format with losses, values below 0, or another
    size.

    Example:
        >>> from maskspace.data.images import encode_png
        >>> encoded = encode_png(np.array([[[0] * 3, [9] * 3, [255] * 3]], np.uint8))
        >>> foreground_mask(encoded, name="a.png").tolist()
        [[False, True, True]]
    """
    stored = stored_pixels(encoded, name=name, size_hw=size_hw)
    if stored.lossy:
        raise ValueError(f"{name}: {stored.lossy} does not keep black; store the mask as PNG")
    values = stored.colours
    _check_range(values, name)
    return values > 0 if values.ndim == 2 else values.max(axis=2) > 0


def grey_values(
    encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None
) -> Int64[np.ndarray, "h w"]:
    """Return the grey value of each pixel of an image without losses.

    Three equal channels are one grey; one colour on black is 255 on 0.

    Args:
        encoded: the bytes of the image file.
        name: the name of the file in errors.
        size_hw: rows and columns that the file has to have (default None: any).

    Raises ValueError that starts with `name` for colours, floating point, and formats with losses.

    Example:
        >>> from maskspace.data.images import encode_png
        >>> encoded = encode_png(np.array([[[0] * 3, [128] * 3]], np.uint8))
        >>> grey_values(encoded, name="a.png").tolist()
        [[0, 128]]
    """
    stored = stored_pixels(encoded, name=name, size_hw=size_hw)
    values = _one_channel(stored, name)
    if stored.lossy or values.dtype.kind == "f":
        raise ValueError(f"{name}: does not keep its values exactly; store them as grey PNG")
    return values.astype(np.int64)


def is_coloured(encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None) -> bool:
    """Return whether a mask file has a colour that is not grey, in a palette or three channels.

    Args:
        encoded: the bytes of the image file.
        name: the name of the file in errors.
        size_hw: rows and columns that the file has to have (default None: any).

    Example:
        >>> from maskspace.data.images import encode_png
        >>> grey, colour = np.full((1, 2, 3), 7, np.uint8), np.array([[[1, 2, 3]]], np.uint8)
        >>> [is_coloured(encode_png(pixels), name="a.png") for pixels in (grey, colour)]
        [False, True]
    """
    return _is_colour(stored_pixels(encoded, name=name, size_hw=size_hw))


def read_file(path: AnyPath) -> bytes:
    """Return the bytes of an image file.

    Raises ValueError in one line for a file that cannot be read or has more than MAX_FILE_BYTES.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "a.png")
        >>> _ = path.write_bytes(b"pixels")
        >>> read_file(path)
        b'pixels'
    """
    return bounded_bytes(path, limit=MAX_FILE_BYTES)


@lru_cache(maxsize=1)
def voc_colours() -> UInt8[np.ndarray, "256 3"]:
    """Return the colour of each label in the palette of PASCAL VOC and DAVIS.

    Bit 3 k + c of a label is bit 7 - k of its channel c, for k and c in 0..2.

    Example:
        >>> voc_colours()[:3].tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    labels = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for k in range(3):
        for channel in range(3):
            colours[:, channel] |= (((labels >> (3 * k + channel)) & 1) << (7 - k)).astype(np.uint8)
    return colours


def _is_colour(stored: Stored) -> bool:
    """Return whether any pixel has three channels that are not equal."""
    if stored.palette is not None:
        used_colours = stored.palette[np.unique(stored.values)]
        return bool((used_colours != used_colours[:, :1]).any())
    colours = stored.values
    return colours.ndim == 3 and bool((colours != colours[..., :1]).any())


def _codes(colours: UInt8[np.ndarray, "*n 3"]) -> Int64[np.ndarray, "*n"]:
    return colours.astype(np.int64) @ np.array([1, 256, 65536])


def _plain_labels(stored: Stored, coding: Coding, name: str) -> Int64[np.ndarray, "h w"]:
    colours = stored.colours
    if colours.ndim == 2:
        return colours
    if coding == "colour" or _is_colour(stored):
        return _colour_labels(stored, coding, name)
    return colours[..., 0].astype(np.int64)


def _indices(stored: Stored, special: Sequence[int], name: str) -> Int64[np.ndarray, "h w"]:
    """Return the index of each pixel as its label.

    Some optimisers reorder a palette. Then black is no longer 0; if all colours are VOC's, they
    still tell the labels, else the file is refused.
    """
    assert stored.palette is not None
    used_indices = np.unique(stored.values)
    colours = stored.palette[used_indices]
    if not _is_colour(stored):
        return _grey_or_index(stored, special, name)
    voc_labels = _voc_labels(colours)
    is_reordered = used_indices[(colours == 0).all(axis=1)].any()
    if (
        voc_labels is not None
        and (voc_labels != used_indices).any()
        and (is_reordered or VOID in voc_labels)
    ):
        labels = np.zeros(256, np.int64)
        labels[used_indices] = voc_labels
        return labels[stored.values]
    if is_reordered:
        raise ValueError(
            f"{name}: black is not the first colour of its palette, so that its index or colour "
            "may be the label; store the labels as grey PNG"
        )
    return stored.values


def _grey_or_index(stored: Stored, special: Sequence[int], name: str) -> Int64[np.ndarray, "h w"]:
    """Return the greys of a grey palette, if its indices have the same `special` labels."""
    assert stored.palette is not None
    grey = stored.palette[..., 0].astype(np.int64)[stored.values]
    for label in special:
        if ((grey == label) != (stored.values == label)).any():
            raise ValueError(
                f"{name}: its palette is of greys in another order, so that its index or its grey "
                f"may be the label {label}; store the labels as grey PNG"
            )
    return grey


def _colour_labels(stored: Stored, coding: Coding, name: str) -> Int64[np.ndarray, "h w"]:
    """Return the label of each pixel of a coloured file: VOC's label, or the code of its colour."""
    colours = stored.colours
    if coding == "colour":
        return _codes(colours)
    if stored.palette is not None:
        used_indices = np.unique(stored.values)
        is_black = (stored.palette[used_indices] == 0).all(axis=1)
        if used_indices[0] == 0 and not is_black.any():
            raise ValueError(
                f"{name}: a palette of colours without black does not say what is background; "
                "store the labels as grey PNG"
            )
    voc_labels = _voc_labels(colours)
    return voc_labels if voc_labels is not None and (voc_labels == VOID).any() else _codes(colours)


def _voc_labels(colours: UInt8[np.ndarray, "*n 3"]) -> Int64[np.ndarray, "*n"] | None:
    """Return the label of each colour in VOC's palette; None where a colour is not in it."""
    voc_codes = _codes(voc_colours())
    by_code = np.argsort(voc_codes)
    codes = _codes(colours)
    labels = by_code[np.searchsorted(voc_codes[by_code], codes).clip(max=255)]
    return labels if (voc_codes[labels] == codes).all() else None


def _one_channel(stored: Stored, name: str) -> np.ndarray:
    """Return the greys of a file; a file of one colour on black has 255 where the colour is."""
    colours = stored.colours
    if colours.ndim == 2:
        _check_range(colours, name)
        return colours
    if (colours == colours[..., :1]).all():
        return colours[..., 0].astype(np.int64)
    codes = np.unique(_codes(colours))
    if len(codes) == 2 and codes[0] == 0 and not stored.lossy:
        return 255 * (_codes(colours) > 0).astype(np.int64)
    raise ValueError(f"{name}: a coloured image is no mask; store it as grey or 1 bit")


def _check_range(values: np.ndarray, name: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name}: holds values that are not finite; store it as grey or 1 bit")
    if values.min(initial=0) < 0:
        raise ValueError(f"{name}: holds {values.min()}; a mask has values of at least 0")


def _check_binary(values: np.ndarray, largest: int | float, ignored: int | None, name: str) -> None:
    """Refuse a label map in place of a binary mask: half of its labels would be lost."""
    between_values = values[
        (values > 0) & (values < largest) & (values != (-1 if ignored is None else ignored))
    ]
    if not len(between_values):
        return
    if largest not in _WHITE:
        raise ValueError(
            f"{name}: more than two values, up to {largest}: a label map, or a mask without white; "
            "say kind=labels, or store 0 and 255"
        )
    is_flat = flat_between(values, 0, largest)
    flat_values = np.setdiff1d(values[is_flat], () if ignored is None else (ignored,))
    if len(flat_values):
        raise ValueError(
            f"{name}: areas of {flat_values[0]} between 0 and {largest}: a label map, or unknown "
            f"pixels; say kind=labels or ignored={flat_values[0]}, or store 0 and 255"
        )
