"""Batches from worker processes in shared memory that is used again and again.

A queue would copy every array through a pipe, and a fresh block of shared memory for each batch
would cost the kernel's work for every page of it. Here a worker writes the arrays of a batch one
behind the other in a block of its own; the receiver copies them out and hands the block back.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from multiprocessing.queues import SimpleQueue

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import get_worker_info

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
    """A value whose arrays are slots of the first `size` bytes of a worker's block.

    The block itself travels only when the receiver does not have it yet.
    """

    value: object
    worker: int
    number: int
    size: int
    block: UInt8[Tensor, " n"] | None


class Sender:
    """What packs values in a worker process; every worker has a copy of its own.

    `returned` holds a queue for each worker, with the numbers of its blocks that are free again.
    """

    def __init__(self, returned: Sequence[SimpleQueue]) -> None:
        self._returned = tuple(returned)
        self._blocks: list[UInt8[Tensor, " n"]] = []
        self._free: list[int] = []

    def __call__(self, value: object) -> Packed:
        """Return the value with its numpy arrays moved to a block.

        Looked through are lists, tuples, dictionaries and dataclasses; all else travels as it is.
        """
        arrays: list[tuple[int, np.ndarray]] = []
        skeleton = _emptied(value, arrays)
        size = _end(arrays)
        information = get_worker_info()
        worker = information.id if information else 0
        number, is_new = self._block_of(size, self._returned[worker])
        block = self._blocks[number]
        written = block.numpy()
        for offset, array in arrays:
            _view(written, Slot(offset, array.shape, array.dtype.str))[...] = array
        return Packed(skeleton, worker, number, size, block if is_new else None)

    def _block_of(self, size: int, returned: SimpleQueue) -> tuple[int, bool]:
        """Return the number of a block that is free and large enough, and whether it is new."""
        while not returned.empty():
            self._free.append(returned.get())
        for number in self._free:
            if len(self._blocks[number]) >= size:
                self._free.remove(number)
                return number, False
        made = _shared(max(size + size // 4, 1))  # room for larger batches to come
        if self._free:
            number = self._free.pop()
            self._blocks[number] = made
            return number, True
        self._blocks.append(made)
        return len(self._blocks) - 1, True


class Receiver:
    """What unpacks the values of any number of workers, in the order in which each sent them."""

    def __init__(self, returned: Sequence[SimpleQueue]) -> None:
        self._returned = tuple(returned)
        self._blocks: dict[tuple[int, int], UInt8[Tensor, " n"]] = {}

    def __call__(self, packed: Packed) -> object:
        """Return the value with arrays in memory of its own."""
        place = packed.worker, packed.number
        if packed.block is not None:
            self._blocks[place] = packed.block
        own = self._blocks[place].numpy()[: packed.size].copy()
        self._returned[packed.worker].put(packed.number)
        return _filled(packed.value, own)


def _shared(size: int) -> UInt8[Tensor, " n"]:
    storage = torch.UntypedStorage._new_shared(size)  # as torch's own collation does
    return torch.tensor([], dtype=torch.uint8).set_(storage)


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
