"""A loader: epochs of batches for one rank, made by any number of processes, resumed anywhere.

The sequence depends on the seed and the epoch alone (`order.py`, `batches.py`), so the state of a
run is two numbers, good for any number of ranks and workers.
"""

import gc
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Generic, cast

import torch
from torch.utils.data import DataLoader

from maskspace.data.batches import Batch, Corrupt, EpochBatches, Item, Plan, Reading, Turn
from maskspace.data.memory import keep_freed_memory
from maskspace.data.order import Order
from maskspace.data.packing import Packed, Receiver, Sender
from maskspace.types import Sample

_LOG = logging.getLogger(__name__)


class Loader(Generic[Item]):
    """Iterate over the batches of an epoch; the next iteration goes on with the next epoch.

    `load` turns a sample into an item, in `workers` processes or, if 0, in this one; what is random
    in it comes from the turn's generator. `state_dict` says what comes after the last batch that
    was handed out, and `load_state_dict` goes on there. At most `corrupt_limit` different records
    may be corrupt for this rank: a `ValueError` from reading a sample or from `load` means that.
    The arrays that workers send share the memory of their batch, which lasts as long as any of them
    (`packing.py`).
    """

    def __init__(
        self,
        datasets: Mapping[str, Sequence],  # of samples; beartype would read some if it knew
        load: Callable[[Sample, Turn], Item],
        *,
        order: Order,
        plan: Plan,
        workers: int = 0,
        corrupt_limit: int = 100,
    ) -> None:
        sizes = tuple(len(dataset) for dataset in datasets.values())
        if sizes != order.sizes or plan.length != order.length:
            raise ValueError(
                f"datasets of {sizes} samples, {plan.length} an epoch, but the order is of "
                f"{order.sizes}, {order.length} an epoch; make it from these datasets"
            )
        self.datasets, self.order, self.plan = datasets, order, plan
        self.corrupt_limit, self.corrupt = corrupt_limit, list[Corrupt]()
        self._load, self._workers = load, workers
        self._epoch, self._number = 0, 0

    def __len__(self) -> int:
        """Return the number of batches in an epoch, the same on every rank."""
        return self.plan.batches

    def __iter__(self) -> Iterator[Batch[Item]]:
        """Yield the batches that are left of the epoch."""
        keep_freed_memory()
        view = EpochBatches(
            datasets=self.datasets,
            load=self._load,
            epoch=self.order.epoch(self._epoch),
            plan=self.plan,
        )
        returned = [multiprocessing.SimpleQueue() for _ in range(self._workers)]
        received = Receiver(returned)
        made = DataLoader(
            view,
            batch_size=None,
            sampler=range(self._number, len(self)),
            num_workers=self._workers,
            collate_fn=Sender(returned) if self._workers else _as_it_is,
            worker_init_fn=_settle,
            generator=torch.Generator(),  # else every epoch would take a number from torch's own
        )
        for one in made:
            reading = cast("Reading[Item]", received(one) if isinstance(one, Packed) else one)
            batch = self._checked(reading)
            following = batch.number + 1
            if following == len(self):
                self._epoch, self._number = batch.epoch + 1, 0
            else:
                self._number = following
            yield batch

    def _checked(self, reading: Reading[Item]) -> Batch[Item]:
        """Return the batch, once its corrupt records are named and counted."""
        known = {(one.dataset, one.index) for one in self.corrupt}
        for one in reading.corrupt:
            if (one.dataset, one.index) in known:
                continue
            known.add((one.dataset, one.index))
            self.corrupt.append(one)
            if len(self.corrupt) > self.corrupt_limit:
                raise ValueError(
                    f"{one.reason}; {len(self.corrupt)} corrupt records and the limit is "
                    f"{self.corrupt_limit}: validate the shards"
                )
            _LOG.warning("skipped %s[%d]: %s", one.dataset, one.index, one.reason)
        if reading.batch is None:
            last = reading.corrupt[-1]
            raise ValueError(f"{last.reason}; nothing to read in its place: validate the shards")
        return reading.batch

    def state_dict(self) -> dict[str, object]:
        """Return where the loader is, in a form that JSON can hold."""
        return {
            "epoch": self._epoch,
            "batch": self._number,
            "corrupt": [asdict(one) for one in self.corrupt],
            "sequence": self._sequence(),
        }

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go on where the state says; ValueError if it is of another sequence."""
        saved, own = cast("dict[str, object]", state["sequence"]), self._sequence()
        for key, value in own.items():
            if saved.get(key) != value:
                raise ValueError(
                    f"the state is of another sequence: its {key} is {saved.get(key)}, here "
                    f"{value}; start afresh or restore the setting"
                )
        self._epoch = cast("int", state["epoch"])
        self._number = cast("int", state["batch"])
        corrupt = cast("list[dict[str, str]]", state["corrupt"])
        self.corrupt = [
            Corrupt(dataset=one["dataset"], index=int(one["index"]), reason=one["reason"])
            for one in corrupt
        ]

    def _sequence(self) -> dict[str, object]:
        """Return what the sequence of batches depends on: ranks and workers are not among it."""
        order = asdict(self.order) | {"sizes": list(self.order.sizes)}
        return order | {
            "weights": list(self.order.weights),
            "datasets": list(self.datasets),
            "batch": self.plan.batch,
            "last": self.plan.last,
        }


def _settle(worker: int) -> None:
    """Leave out of garbage collection what a worker process has from its parent.

    Marking it would copy the pages that they share.
    """
    gc.freeze()


def _as_it_is(reading: object) -> object:
    return reading
