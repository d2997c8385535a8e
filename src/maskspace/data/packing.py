"""Batches from worker processes in shared memory that is used again and again.

A queue would copy every array through a pipe, and a fresh block of shared memory for each batch
would cost the kernel's work for every page of it. Here a worker writes a batch in a block of its
own: its pickle, then the bytes of the arrays one behind the other, which are what protocol 5 keeps
apart. The receiver's arrays are views of the block, and it is the worker's again when the last of
them is gone: whoever keeps one array for long keeps the memory of its whole batch, unless copied.
"""

import io
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.reduction import ForkingPickler
from pickle import PickleBuffer

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import get_worker_info

_ALIGNMENT = 64  # bytes, a cache line


@dataclass(frozen=True)
class Packed:
    """Where a value lies in a worker's block: its pickle first, then the bytes of its arrays.

    The block itself travels only when the receiver does not have it yet.
    """

    places: tuple[tuple[int, int], ...]
    worker: int
    number: int
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
        """Return where the value lies in a block, its contiguous numpy arrays apart."""
        text = io.BytesIO()
        buffers: list[PickleBuffer] = []
        ForkingPickler(text, 5, True, buffers.append).dump(value)
        places: list[tuple[int, int]] = []
        views, end = [text.getbuffer(), *(buffer.raw() for buffer in buffers)], 0
        for view in views:
            begin = -(-end // _ALIGNMENT) * _ALIGNMENT
            end = begin + view.nbytes
            places.append((begin, end))
        information = get_worker_info()
        worker = information.id if information else 0
        number, is_new = self._block_of(end, self._returned[worker])
        block = self._blocks[number]
        written = block.numpy().data
        for (begin, end), view in zip(places, views, strict=True):
            written[begin:end] = view
        return Packed(tuple(places), worker, number, block if is_new else None)

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
        self._dropped: deque[tuple[int, int]] = deque()

    def __call__(self, packed: Packed) -> object:
        """Return the value with arrays that view its block, which is theirs while one is alive."""
        self._hand_back()
        place = packed.worker, packed.number
        if packed.block is not None:
            self._blocks[place] = packed.block
        seen = self._blocks[place].numpy()[:]  # an array of its own: what the arrays will hold
        weakref.finalize(seen, self._dropped.append, place).atexit = False
        text, *views = [seen.data[begin:end] for begin, end in packed.places]
        return ForkingPickler.loads(text, buffers=views)  # pyright: ignore[reportAttributeAccessIssue]

    def _hand_back(self) -> None:
        """Tell the workers which blocks are free; not when they become so, which may be anywhere.

        A collection of garbage inside of `put` would wait for the lock that it holds.
        """
        while self._dropped:
            worker, number = self._dropped.popleft()
            self._returned[worker].put(number)


def _shared(size: int) -> UInt8[Tensor, " n"]:
    storage = torch.UntypedStorage._new_shared(size)  # as torch's own collation does
    return torch.tensor([], dtype=torch.uint8).set_(storage)
