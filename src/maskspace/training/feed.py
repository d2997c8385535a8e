"""The parts of batches that a worker trains on, made ahead of it, and how long it waits."""

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

MakeBatch = Callable[[int, range], object]


class Feed(Iterator[object]):
    """Yield the parts of each step's batch on the device: `len(parts)` a step, in order.

    `make(step, rows)` is called in `loaders` processes, which live as long as the feed, or here if
    0. `waited` counts the seconds that the caller had to wait so far: an upper bound of what the
    device waits, because a GPU still works on what it was given before.
    """

    def __init__(
        self,
        make: MakeBatch,
        steps: range,
        *,
        parts: list[range],
        loaders: int,
        device: torch.device,
    ) -> None:
        loader = DataLoader(
            _Parts(make, parts),
            batch_size=None,
            sampler=range(steps.start * len(parts), steps.stop * len(parts)),
            num_workers=loaders,
            pin_memory=device.type == "cuda",
        )
        self._batches, self._device, self.waited = iter(loader), device, 0.0

    def __next__(self) -> object:
        """Return the next part."""
        begin = time.perf_counter()
        batch = next(self._batches)
        self.waited += time.perf_counter() - begin
        return on_device(batch, self._device)


class _Parts(Dataset):
    """The parts of batches in a row, by number."""

    def __init__(self, make: MakeBatch, parts: list[range]) -> None:
        self.make, self.parts = make, parts

    def __getitem__(self, number: int) -> object:
        step, part = divmod(number, len(self.parts))
        return self.make(step, self.parts[part])


def share_of(batch: int, *, rank: int, world: int, accumulate: int) -> list[range]:
    """Return the rows that a worker takes of a batch, in as many equal parts as it accumulates."""
    size = batch // (world * accumulate)
    if size * world * accumulate != batch:
        raise ValueError(
            f"batch {batch} is no multiple of {world} workers with {accumulate} parts each"
        )
    first = rank * accumulate * size
    return [range(first + size * part, first + size * (part + 1)) for part in range(accumulate)]


def on_device(batch: object, device: torch.device) -> object:
    """Return a batch with its tensors, in tuples of any depth, on a device."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return tuple.__new__(type(batch), [on_device(item, device) for item in batch])
    return batch
