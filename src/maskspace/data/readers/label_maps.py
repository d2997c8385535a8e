"""Label maps and binary masks from image files: the numbers that a file holds, never a picture.

Read exactly: grey of 1, 2, 4, 8, 16 and 32 bits, the indices of a palette, and RGB coded as
R + 256 G + 65536 B (COCO panoptic's). What cannot hold labels exactly (JPEG, floating point, 16-bit
colour, real transparency) is refused in one line.
"""

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from maskspace.files import AnyPath, bounded_bytes
from maskspace.rgb import UNREADABLE, open_image

#: The largest image file that is read.
MAX_FILE_BYTES = 1 << 30

_LOSSY = ("JPEG", "MPO", "JPEG2000", "WEBP", "AVIF")
_PNG_DEPTH = 24  # where a PNG says its bits per channel
_SCALE = {2: 85, 4: 17}  # PIL stretches grey of 2 and 4 bits to 0..255


def read_label_map(
    path: AnyPath, size_hw: tuple[int, int] | None = None
) -> Int64[np.ndarray, "h w"]:
    """Return the label of each pixel of an image file, at least 0.

    Raises ValueError that names the file: unreadable, no label map, or not of `size_hw` pixels.
    """
    return label_map(read_file(path), name=str(path), size_hw=size_hw)


def label_map(
    encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None
) -> Int64[np.ndarray, "h w"]:
    """Return the label of each pixel of an encoded image, as `read_label_map`."""
    with open_image(encoded, name=name) as image:
        check_size(image, size_hw, name)
        if image.format in _LOSSY:
            raise ValueError(
                f"{name}: {image.format} does not keep labels exactly; store the labels as PNG"
            )
        return _labels(_decoded(image, name), image, encoded, name)


def binary_mask(
    encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None
) -> Bool[np.ndarray, "h w"]:
    """Return where a mask image is above half of its own largest value.

    That reads 0/1, 0/255, 0/65535 and soft edges alike. Of a format with losses, such as JPEG, it
    is above half of white, 127, whatever its largest value. Colour has to be grey.
    """
    values, lossy = _grey(encoded, name, size_hw)
    return values > (127 if lossy else values.max() / 2)


def grey_values(
    encoded: bytes, *, name: str, size_hw: tuple[int, int] | None = None
) -> Int64[np.ndarray, "h w"]:
    """Return the grey values of an image without losses, three equal channels being one."""
    values, lossy = _grey(encoded, name, size_hw)
    if lossy or values.dtype.kind == "f":
        raise ValueError(f"{name}: does not keep its values exactly; store them as grey PNG")
    return values.astype(np.int64)


def _grey(encoded: bytes, name: str, size_hw: tuple[int, int] | None) -> tuple[np.ndarray, bool]:
    """Return the one channel of an image, and whether its format has losses."""
    with open_image(encoded, name=name) as image:
        check_size(image, size_hw, name)
        values = _decoded(image, name)
        lossy = image.format in _LOSSY
    if values.ndim == 3:
        colours = values[..., : 1 if values.shape[2] == 2 else 3]
        if (colours != colours[..., :1]).any():
            raise ValueError(f"{name}: a coloured image is no mask; store it as grey or 1 bit")
        values = colours[..., 0]
    return values, lossy


def check_size(image: Image.Image, size_hw: tuple[int, int] | None, name: str) -> None:
    """Raise ValueError for an opened image of another size, before any of it is decoded."""
    if size_hw is not None and image.size[::-1] != tuple(size_hw):
        raise ValueError(
            f"{name}: is {image.size[::-1]}, its image is {tuple(size_hw)} (h, w); pair them again"
        )


def read_file(path: AnyPath) -> bytes:
    """Return the bytes of an image file, or ValueError in one line; at most MAX_FILE_BYTES."""
    return bounded_bytes(path, limit=MAX_FILE_BYTES)


def _decoded(image: Image.Image, name: str) -> np.ndarray:
    try:
        return np.asarray(image)
    except UNREADABLE as error:
        raise ValueError(f"{name}: cannot be decoded ({error}); replace the file") from None


def _labels(
    values: np.ndarray, image: Image.Image, encoded: bytes, name: str
) -> Int64[np.ndarray, "h w"]:
    if values.dtype.kind == "f":
        raise ValueError(f"{name}: holds floating point; store the labels as whole numbers")
    if values.ndim == 3:
        return _coded(values, encoded, name)
    labels = values.astype(np.int64)
    if labels.min() < 0:
        raise ValueError(f"{name}: holds the label {labels.min()}; labels are at least 0")
    is_grey_png = image.format == "PNG" and image.mode == "L"
    scale = _SCALE.get(encoded[_PNG_DEPTH], 1) if is_grey_png else 1
    return labels // scale if scale > 1 else labels


def _coded(values: np.ndarray, encoded: bytes, name: str) -> Int64[np.ndarray, "h w"]:
    """Return grey beside alpha as it is, and colour as R + 256 G + 65536 B."""
    if encoded.startswith(b"\x89PNG") and encoded[_PNG_DEPTH] == 16:
        raise ValueError(f"{name}: 16-bit colour codes no label; store one channel of 16 bits")
    channels = values.shape[2]
    if channels in (2, 4) and (values[..., -1] != 255).any():
        raise ValueError(f"{name}: is transparent in places; store the labels without alpha")
    colours = values[..., :1] if channels == 2 else values[..., :3]
    return colours.astype(np.int64) @ (256 ** np.arange(colours.shape[2]))
