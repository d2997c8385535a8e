"""The parts of batches that a worker trains on, made in advance; how long it waits for them."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, product

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

#: A step, and the rows of its batch that are asked for.
FeedPart = tuple[int, range]
MakeBatches = Callable[[Iterable[FeedPart]], Iterator[object]]


class Feed(Iterator[object]):
    """Yield the parts of each step's batch on the device, in order: `len(rows)` parts a step.

    `waited` is how many seconds the caller has waited for parts so far. The device waits less than
    that: a GPU may still work on what it was given before.

    Args:
        make: turns parts into batches. It is called once in each loader process, with every n-th
            part of n processes, or once here if there are none.
        steps: the steps to feed.
        rows: the rows of a batch in each part of a step.
        loaders: loader processes, which live as long as the feed; 0: batches are made here.
        device: where the batches go.

    Example:
        >>> feed = Feed(iter, range(2), rows=[range(0, 4)], loaders=0, device=torch.device("cpu"))
        >>> list(feed)  # here a batch is what was asked for: the step and its rows
        [[0, [0, 1, 2, 3]], [1, [0, 1, 2, 3]]]
    """

    def __init__(
        self,
        make: MakeBatches,
        steps: range,
        *,
        rows: list[range],
        loaders: int,
        device: torch.device,
    ) -> None:
        loader = DataLoader(
            _Parts(make, steps, rows),
            batch_size=None,
            num_workers=loaders,
            pin_memory=device.type == "cuda",
            worker_init_fn=_settle,
            generator=torch.Generator(),  # else a number would be taken from torch's own
        )
        self._batches, self._device, self.waited = iter(loader), device, 0.0

    def __next__(self) -> object:
        """Return the next part."""
        begin = time.perf_counter()
        batch = next(self._batches)
        self.waited += time.perf_counter() - begin
        return on_device(batch, self._device)


class _Parts(IterableDataset):
    """The parts of batches in a row; of several loader processes each makes its own."""

    def __init__(self, make: MakeBatches, steps: range, rows: list[range]) -> None:
        self.make, self.steps, self.rows = make, steps, rows

    def __iter__(self) -> Iterator[object]:
        process = get_worker_info()
        first, number = (process.id, process.num_workers) if process else (0, 1)
        parts = product(self.steps, self.rows)
        return self.make(islice(parts, first, None, number))


def _settle(loader: int) -> None:
    """Leave out of garbage collection what a loader process has from its parent.

    Marking it would copy the pages that they share.
    """
    gc.freeze()


def share_of(batch: int, *, rank: int, world: int, accumulate: int) -> list[range]:
    """Return the rows of a batch that a worker takes, in `accumulate` equal parts.

    ValueError if the batch cannot be shared evenly.

    Args:
        batch: images of a batch.
        rank: number of the worker, from 0.
        world: number of workers.
        accumulate: parts in which a worker takes its share.

    Example:
        >>> share_of(8, rank=1, world=2, accumulate=2)  # rows 4 to 7, in two parts
        [range(4, 6), range(6, 8)]
        >>> share_of(9, rank=0, world=2, accumulate=1)
        Traceback (most recent call last):
            ...
        ValueError: batch 9 is no multiple of 2 workers with 1 parts each
    """
    size = batch // (world * accumulate)
    if size * world * accumulate != batch:
        raise ValueError(
            f"batch {batch} is no multiple of {world} workers with {accumulate} parts each"
        )
    first = rank * accumulate * size
    return [range(first + size * part, first + size * (part + 1)) for part in range(accumulate)]


def positions_of(parts: Iterable[FeedPart], *, batch: int) -> Iterator[range]:
    """Yield the positions of each part's rows in the order of training.

    Example:
        >>> list(positions_of([(0, range(2)), (3, range(2))], batch=4))
        [range(0, 2), range(12, 14)]
    """
    for step, rows in parts:
        yield range(step * batch + rows.start, step * batch + rows.stop)


def on_device(batch: object, device: torch.device) -> object:
    """Return a batch with its tensors, in tuples of any depth, on a device.

    Example:
        >>> moved = on_device((torch.zeros(1), "a key"), torch.device("meta"))
        >>> moved[0].device.type, moved[1]
        ('meta', 'a key')
    """
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple):
        return tuple.__new__(type(batch), [on_device(item, device) for item in batch])
    return batch
