"""Whole numbers from HDF5 files that others made, read within known bounds.

HDF5 files can point to other files, and their filters unpack whatever they are given. Input: the
bytes of a file, and the type and the shape of the array that it should hold. Steps: the link, type,
shape and layout of the dataset are checked; then each chunk is unpacked here, not by the library,
up to the size of a chunk. Cost: no more memory than the array and one chunk.
"""

import io
import math
import zlib
from collections.abc import Iterator
from itertools import product

import h5py
import numpy as np
from jaxtyping import Shaped

_MEND = "fetch it again"
_FILTERS = {1: "gzip", 2: "shuffle"}  # by HDF5's registered numbers

#: The largest chunk that is taken, in bytes; h5py's own choice is at most one megabyte.
_MAX_CHUNK_BYTES = 2**26


def read_array(
    content: bytes, *, dataset: str, dtype: type[np.generic], size_hw: tuple[int, int], name: str
) -> Shaped[np.ndarray, "h w"]:
    """Return an array out of an HDF5 file.

    The dataset may be contiguous or in chunks, plain or coded by gzip and shuffle.

    Args:
        content: the bytes of the file.
        dataset: the name of the dataset in it.
        dtype: the type that the dataset has to have.
        size_hw: the shape that the dataset has to have.
        name: the name of the file in errors.

    Raises ValueError in one line that starts with `name` for every other file.

    Example:
        >>> file = io.BytesIO()
        >>> with h5py.File(file, "w") as opened:
        ...     opened["dataset"] = np.array([[1, 2]], np.int16)
        >>> content = file.getvalue()
        >>> array = read_array(
        ...     content, dataset="dataset", dtype=np.int16, size_hw=(1, 2), name="a.hdf5"
        ... )
        >>> array.tolist()
        [[1, 2]]
    """
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            found = _dataset(file, dataset, name)
            _check(found, dtype, size_hw, name)
            return _read(found, name)
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{name}: not a readable HDF5 file ({error}); {_MEND}") from None


def _dataset(file: h5py.File, dataset: str, name: str) -> h5py.Dataset:
    link = file.get(dataset, getlink=True)
    if link is None:
        raise ValueError(f"{name}: has no dataset named {dataset!r}; {_MEND}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name}: {dataset!r} is a link to elsewhere; do not trust this file")
    found = file[dataset]
    if not isinstance(found, h5py.Dataset):
        raise ValueError(f"{name}: {dataset!r} is a group, not an array; {_MEND}")
    if found.is_virtual or found.external is not None:
        raise ValueError(f"{name}: {dataset!r} is kept in other files; do not trust this file")
    return found


def _check(
    found: h5py.Dataset, dtype: type[np.generic], size_hw: tuple[int, int], name: str
) -> None:
    if found.dtype != np.dtype(dtype):
        raise ValueError(
            f"{name}: holds {found.dtype}, expected {np.dtype(dtype)}; check which file it is"
        )
    if found.shape != size_hw:
        raise ValueError(
            f"{name}: is {found.shape}, its preview is {size_hw} (h, w); pair them again"
        )
    if math.prod(found.chunks or ()) * found.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise ValueError(f"{name}: in chunks of {found.chunks}; do not trust this file")


def _read(found: h5py.Dataset, name: str) -> np.ndarray:
    if found.chunks is None:
        return np.asarray(found)
    filters = _filters(found, name)
    array = np.full(found.shape, found.fillvalue, found.dtype)
    for place in _places(found.shape, found.chunks):
        stored = _stored(found, place)
        if stored is not None:
            chunk = _inflated(stored, filters, found, name)
            part = tuple(slice(a, a + n) for a, n in zip(place, found.chunks, strict=True))
            target = array[part]
            target[...] = chunk[tuple(slice(n) for n in target.shape)]
    return array


def _filters(found: h5py.Dataset, name: str) -> list[str]:
    settings = found.id.get_create_plist()
    codes = [settings.get_filter(index)[0] for index in range(settings.get_nfilters())]
    for code in codes:
        if code not in _FILTERS:
            raise ValueError(f"{name}: coded by HDF5's filter {code}; store it with gzip or plain")
    return [_FILTERS[code] for code in codes]


def _places(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(0, side, step) for side, step in zip(shape, chunks, strict=True)))


def _stored(found: h5py.Dataset, place: tuple[int, ...]) -> tuple[int, bytes] | None:
    """Return a stored chunk: its skipped filters as bits, and its bytes; None if absent."""
    if found.id.get_chunk_info_by_coord(place).byte_offset is None:
        return None
    return found.id.read_direct_chunk(place)


def _inflated(
    stored: tuple[int, bytes], filters: list[str], found: h5py.Dataset, name: str
) -> np.ndarray:
    skipped, content = stored
    chunks = tuple(found.chunks or ())
    size = math.prod(chunks) * found.dtype.itemsize
    for index in reversed(range(len(filters))):
        if skipped >> index & 1:
            continue
        if filters[index] == "gzip":
            content = _gunzip(content, size, name)
        else:
            planes = np.frombuffer(content, np.uint8).reshape(found.dtype.itemsize, -1)
            content = planes.T.tobytes()
    if len(content) != size:
        raise ValueError(f"{name}: a chunk has {len(content)} bytes of {size}; {_MEND}")
    return np.frombuffer(content, found.dtype).reshape(chunks)


def _gunzip(content: bytes, size: int, name: str) -> bytes:
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(content, size)
        rest = b"" if inflate.eof else inflate.decompress(inflate.unconsumed_tail, 1)
    except zlib.error as error:
        raise ValueError(f"{name}: a chunk is damaged ({error}); {_MEND}") from None
    if rest or not inflate.eof:
        raise ValueError(f"{name}: a chunk is larger than it says, or cut; do not trust this file")
    return plain
