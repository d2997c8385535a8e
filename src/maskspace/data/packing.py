"""Arrays from one process to another: all of a batch in one block of shared memory.

A queue would copy every array through a pipe, and sharing each on its own would cost a file handle
an array. Here a worker writes them one behind the other, and whoever receives the block reads them
in place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

_ALIGNMENT = 64  # bytes, a cache line


@dataclass(frozen=True)
class Slot:
    """Where an array is in the block."""

    offset: int
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Parts:
    """A dataclass, taken apart: with slots in their places its fields would have wrong types."""

    kind: type
    fields: dict[str, object]


@dataclass(frozen=True)
class Packed:
    """A value whose arrays are slots of a block of bytes."""

    value: object
    block: UInt8[Tensor, " n"]


def pack(value: object) -> Packed:
    """Return the value with its numpy arrays moved to one block of shared memory.

    Looked through are lists, tuples, dictionaries and dataclasses; anything else travels as it is.
    """
    arrays: list[tuple[int, np.ndarray]] = []
    skeleton = _emptied(value, arrays)
    size = _end(arrays)
    storage = torch.UntypedStorage._new_shared(max(size, 1))  # as torch's own collation does
    block = torch.tensor([], dtype=torch.uint8).set_(storage)
    written = block.numpy()
    for offset, array in arrays:
        _view(written, Slot(offset, array.shape, array.dtype.str))[...] = array
    return Packed(skeleton, block)


def unpack(packed: Packed) -> object:
    """Return the value with its arrays, which lie in the block and keep it alive."""
    return _filled(packed.value, packed.block.numpy())


def _end(arrays: list[tuple[int, np.ndarray]]) -> int:
    offset, array = arrays[-1] if arrays else (0, np.zeros(0, bool))
    return offset + array.nbytes


def _view(block: UInt8[np.ndarray, " n"], slot: Slot) -> np.ndarray:
    dtype = np.dtype(slot.dtype)
    size = dtype.itemsize * math.prod(slot.shape)
    return block[slot.offset : slot.offset + size].view(dtype).reshape(slot.shape)


def _emptied(value: object, arrays: list[tuple[int, np.ndarray]]) -> object:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        offset = -(-_end(arrays) // _ALIGNMENT) * _ALIGNMENT
        arrays.append((offset, value))
        return Slot(offset, value.shape, value.dtype.str)
    if is_dataclass(value) and not isinstance(value, type):
        inner = {one.name: getattr(value, one.name) for one in fields(value) if one.init}
        return Parts(type(value), {name: _emptied(one, arrays) for name, one in inner.items()})
    return _rebuilt(value, lambda inner: _emptied(inner, arrays))


def _filled(value: object, block: UInt8[np.ndarray, " n"]) -> object:
    if isinstance(value, Slot):
        return _view(block, value)
    if isinstance(value, Parts):
        return value.kind(**{name: _filled(one, block) for name, one in value.fields.items()})
    return _rebuilt(value, lambda inner: _filled(inner, block))


def _rebuilt(value: object, change: Callable[[object], object]) -> object:
    if isinstance(value, list):
        return [change(inner) for inner in value]
    if isinstance(value, dict):
        return {key: change(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return getattr(value, "_make", tuple)(change(inner) for inner in value)
    return value
