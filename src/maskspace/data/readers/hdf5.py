"""Whole numbers from HDF5 files that others made, read within known bounds.

HDF5 files can point to other files, and their filters unpack whatever they are given. Input: the
bytes of a file, and the type and the shape of the array that it should hold. Steps: the link, type,
shape and layout of the dataset are checked; then each chunk is unpacked here, not by the library,
up to the size of a chunk. Cost: no more memory than the array and one chunk.

h5py alone unpacks a chunk to any size: 0.5 MB of a file take 545 MB, here 7. A label map of
HyperSim takes 4.6 ms, by h5py 3.4 (`benchmarks/own_code.py`).
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
            array = _dataset(file, dataset, name)
            _check(array, dtype, size_hw, name)
            return _read(array, name)
    except (OSError, RuntimeError, KeyError, TypeError, OverflowError, MemoryError) as error:
        raise ValueError(f"{name}: not a readable HDF5 file ({error}); {_MEND}") from None


def _dataset(file: h5py.File, dataset: str, name: str) -> h5py.Dataset:
    link = file.get(dataset, getlink=True)
    if link is None:
        raise ValueError(f"{name}: has no dataset named {dataset!r}; {_MEND}")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{name}: {dataset!r} is a link to elsewhere; do not trust this file")
    array = file[dataset]
    if not isinstance(array, h5py.Dataset):
        raise ValueError(f"{name}: {dataset!r} is a group, not an array; {_MEND}")
    if array.is_virtual or array.external is not None:
        raise ValueError(f"{name}: {dataset!r} is kept in other files; do not trust this file")
    return array


def _check(
    array: h5py.Dataset, dtype: type[np.generic], size_hw: tuple[int, int], name: str
) -> None:
    if array.dtype != np.dtype(dtype):
        raise ValueError(
            f"{name}: holds {array.dtype}, expected {np.dtype(dtype)}; check which file it is"
        )
    if array.shape != size_hw:
        raise ValueError(
            f"{name}: is {array.shape}, its preview is {size_hw} (h, w); pair them again"
        )
    if math.prod(array.chunks or ()) * array.dtype.itemsize > _MAX_CHUNK_BYTES:
        raise ValueError(f"{name}: in chunks of {array.chunks}; do not trust this file")


def _read(array: h5py.Dataset, name: str) -> np.ndarray:
    if array.chunks is None:
        return np.asarray(array)
    filters = _filters(array, name)
    values = np.full(array.shape, array.fillvalue, array.dtype)
    for place in _places(array.shape, array.chunks):
        stored = _stored(array, place)
        if stored is not None:
            chunk = _inflated(stored, filters, array, name)
            window = tuple(slice(a, a + n) for a, n in zip(place, array.chunks, strict=True))
            target = values[window]
            target[...] = chunk[tuple(slice(n) for n in target.shape)]
    return values


def _filters(array: h5py.Dataset, name: str) -> list[str]:
    settings = array.id.get_create_plist()
    codes = [settings.get_filter(index)[0] for index in range(settings.get_nfilters())]
    for code in codes:
        if code not in _FILTERS:
            raise ValueError(f"{name}: coded by HDF5's filter {code}; store it with gzip or plain")
    return [_FILTERS[code] for code in codes]


def _places(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(0, side, step) for side, step in zip(shape, chunks, strict=True)))


def _stored(array: h5py.Dataset, place: tuple[int, ...]) -> tuple[int, bytes] | None:
    """Return a stored chunk: its skipped filters as bits, and its bytes; None if absent."""
    if array.id.get_chunk_info_by_coord(place).byte_offset is None:
        return None
    return array.id.read_direct_chunk(place)


def _inflated(
    stored: tuple[int, bytes], filters: list[str], array: h5py.Dataset, name: str
) -> np.ndarray:
    skipped, content = stored
    chunks = tuple(array.chunks or ())
    size = math.prod(chunks) * array.dtype.itemsize
    for index in reversed(range(len(filters))):
        if skipped >> index & 1:
            continue
        if filters[index] == "gzip":
            content = _gunzip(content, size, name)
        else:
            planes = np.frombuffer(content, np.uint8).reshape(array.dtype.itemsize, -1)
            content = planes.T.tobytes()
    if len(content) != size:
        raise ValueError(f"{name}: a chunk has {len(content)} bytes of {size}; {_MEND}")
    return np.frombuffer(content, array.dtype).reshape(chunks)


def _gunzip(content: bytes, size: int, name: str) -> bytes:
    decoder = zlib.decompressobj()
    try:
        unpacked = decoder.decompress(content, size)
        more = b"" if decoder.eof else decoder.decompress(decoder.unconsumed_tail, 1)
    except zlib.error as error:
        raise ValueError(f"{name}: a chunk is damaged ({error}); {_MEND}") from None
    if more or not decoder.eof:
        raise ValueError(f"{name}: a chunk is larger than it says, or cut; do not trust this file")
    return unpacked
