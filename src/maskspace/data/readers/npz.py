"""Label maps and masks from NumPy's NPZ, without pickles and without trust in its headers."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.lib import format as npy

from maskspace.masks import encode

#: The most masks of one image.
MAX_MASKS = 65_536

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    NotImplementedError,
)


def holds_masks(encoded: bytes, *, name: str) -> bool:
    """Return whether an NPZ holds `masks` rather than `labels`.

    Raises ValueError that starts with `name` where it holds neither or both.

    Example:
        >>> file = io.BytesIO()
        >>> np.savez(file, labels=np.array([[0, 1]]))
        >>> holds_masks(file.getvalue(), name="a.npz")
        False
    """
    with _archive(encoded, name) as archive:
        names = {entry.removesuffix(".npy") for entry in archive.namelist()} & {"labels", "masks"}
    if len(names) != 1:
        raise ValueError(f"{name}: an NPZ holds `labels` (int h w) or `masks` (bool n h w)")
    return "masks" in names


def npz_labels(encoded: bytes, *, name: str, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Return the array `labels` of an NPZ, whole numbers of the shape `size_hw`.

    Raises ValueError that starts with `name` for another type or shape, and for a damaged file.

    Example:
        >>> file = io.BytesIO()
        >>> np.savez(file, labels=np.array([[0, 1]]))
        >>> npz_labels(file.getvalue(), name="a.npz", size_hw=(1, 2)).tolist()
        [[0, 1]]
    """
    with _array(encoded, "labels", name) as array:
        if array.dtype.kind not in "iu" or array.shape != tuple(size_hw):
            raise ValueError(
                f"labels are {array.dtype} {array.shape}, the image is {tuple(size_hw)} (h, w)"
            )
        values = array.take(size_hw[0] * size_hw[1])
    return values.reshape(size_hw, order=array.order).astype(np.int64)


def npz_counts(encoded: bytes, *, name: str, size_hw: tuple[int, int]) -> list[str]:
    """Return the run-length string of each of the boolean `masks` (`n h w`) of an NPZ.

    One mask is in memory at a time. Raises ValueError that starts with `name` for another type, for
    masks that are not of `size_hw`, for more than 65 536 masks, and for a damaged file.

    Example:
        >>> file = io.BytesIO()
        >>> masks = np.array([[[0, 1]], [[1, 1]]], bool)
        >>> np.savez(file, masks=masks)
        >>> npz_counts(file.getvalue(), name="a.npz", size_hw=(1, 2)) == encode(masks)
        True
    """
    with _array(encoded, "masks", name) as array:
        number, *mask_shape = array.shape or (0,)
        if array.dtype != np.bool_ or mask_shape != list(size_hw):
            raise ValueError(
                f"masks are {array.dtype} {array.shape}, expected bool (n, {size_hw[0]}, "
                f"{size_hw[1]})"
            )
        if (array.order == "F" and number > 1) or number > MAX_MASKS:
            raise ValueError(f"masks are stored one by one (C order), at most {MAX_MASKS}")
        pixels = size_hw[0] * size_hw[1]
        masks = (array.take(pixels).reshape(1, *size_hw, order=array.order) for _ in range(number))
        return [encode(mask)[0] for mask in masks]


@dataclass(frozen=True)
class _Array:
    """An array in an archive: its header, and the function that reads its next bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype
    order: Literal["C", "F"]
    read: Callable[[int], bytes]

    def take(self, number: int) -> Shaped[np.ndarray, " n"]:
        """Return the next `number` values; ValueError if there are fewer."""
        content = self.read(number * self.dtype.itemsize)
        if len(content) != number * self.dtype.itemsize:
            raise ValueError("the array ends early")
        return np.frombuffer(content, self.dtype)


@contextmanager
def _archive(encoded: bytes, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
            yield archive
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{name}: {reason}; save it again with numpy.savez") from None


@contextmanager
def _array(encoded: bytes, key: str, name: str) -> Iterator[_Array]:
    """Yield an array of an archive; at the end, require that no bytes follow it."""
    with _archive(encoded, name) as archive:
        if f"{key}.npy" not in archive.namelist():
            raise ValueError(f"no array `{key}`")
        with archive.open(f"{key}.npy") as file:
            read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            version = npy.read_magic(file)
            if version not in read:
                raise ValueError(f"NPY version {version} is unknown")
            shape, fortran, dtype = read[version](file)
            if dtype.hasobject:
                raise ValueError(f"`{key}` holds Python objects, which are never loaded")
            yield _Array(shape, dtype, "F" if fortran else "C", file.read)
            if file.read(1):  # at the end the archive's own checksum is compared
                raise ValueError(f"`{key}` holds more than its header says")
