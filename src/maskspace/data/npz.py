"""Label maps and masks from NumPy's NPZ, without pickles and without trust in its headers."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from jaxtyping import Int64
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
    """Return whether an NPZ holds `masks`, not `labels`; ValueError if it holds neither or both."""
    with _archive(encoded, name) as archive:
        found = {entry.removesuffix(".npy") for entry in archive.namelist()} & {"labels", "masks"}
    if len(found) != 1:
        raise ValueError(f"{name}: an NPZ holds `labels` (int h w) or `masks` (bool n h w)")
    return "masks" in found


def npz_labels(encoded: bytes, *, name: str, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Return the whole numbers `labels` of an NPZ; ValueError if they are not `size_hw`."""
    with _member(encoded, "labels", name) as (file, shape, dtype, fortran):
        if dtype.kind not in "iu" or shape != tuple(size_hw):
            raise ValueError(f"labels are {dtype} {shape}, the image is {tuple(size_hw)} (h, w)")
        values = _read(file, size_hw[0] * size_hw[1], dtype)
    return values.reshape(shape, order="F" if fortran else "C").astype(np.int64)


def npz_counts(encoded: bytes, *, name: str, size_hw: tuple[int, int]) -> list[str]:
    """Return COCO's string of each of the boolean `masks` of an NPZ, one in memory at a time."""
    with _member(encoded, "masks", name) as (file, shape, dtype, fortran):
        if dtype != np.bool_ or len(shape) != 3 or shape[1:] != tuple(size_hw):
            raise ValueError(
                f"masks are {dtype} {shape}, expected bool (n, {size_hw[0]}, {size_hw[1]})"
            )
        if (fortran and shape[0] > 1) or shape[0] > MAX_MASKS:
            raise ValueError(f"masks are stored mask by mask (C order), at most {MAX_MASKS}")
        pixels = size_hw[0] * size_hw[1]
        order = "F" if fortran else "C"
        return [
            encode(_read(file, pixels, dtype).reshape(1, *size_hw, order=order))[0]
            for _ in range(shape[0])
        ]


@contextmanager
def _archive(encoded: bytes, name: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(io.BytesIO(encoded)) as archive:
            yield archive
    except _BROKEN as error:
        raise ValueError(f"{name}: {error}; save it again with numpy.savez") from None


@contextmanager
def _member(
    encoded: bytes, key: str, name: str
) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype, bool]]:
    """Give an array's bytes, and the shape, type and order that its header says."""
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
            yield file, shape, dtype, fortran


def _read(file: IO[bytes], number: int, dtype: np.dtype) -> np.ndarray:
    content = file.read(number * dtype.itemsize)
    if len(content) != number * dtype.itemsize:
        raise ValueError("the array ends early")
    return np.frombuffer(content, dtype)
