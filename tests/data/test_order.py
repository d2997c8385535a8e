from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspace.data.order import Order, Pass


def places(order: Order, epoch: int) -> list[tuple[int, int]]:
    return list(order.epoch(epoch))


def alone(size: int, **options: int) -> Order:
    return Order(sizes=(size,), weights=(1.0,), length=size, **{"seed": 0} | options)


@given(st.integers(1, 400), st.integers(1, 40), st.integers(1, 6), st.integers(0, 9))
def test_an_epoch_of_one_dataset_has_every_sample_once(size, block, window, seed):
    order = alone(size, block=block, window=window, seed=seed)
    assert sorted(places(order, seed)) == [(0, index) for index in range(size)]


def test_epochs_and_seeds_differ_and_repeat():
    order, other = alone(100, block=8, window=2), alone(100, block=8, window=2, seed=1)
    sequences = [places(order, 0), places(order, 1), places(other, 0), places(other, 1)]
    assert len({str(sequence) for sequence in sequences}) == 4
    assert places(alone(100, block=8, window=2), 1) == sequences[1]


@settings(deadline=None)
@given(st.data())
def test_any_position_is_found_without_the_ones_before(data):
    sizes = tuple(data.draw(st.lists(st.integers(1, 60), min_size=1, max_size=4)))
    order = Order(
        sizes=sizes,
        weights=tuple(data.draw(st.floats(0.1, 9)) for _ in sizes),
        length=data.draw(st.integers(1, 200)),
        seed=data.draw(st.integers(0, 5)),
        block=data.draw(st.integers(1, 9)),
        window=data.draw(st.integers(1, 4)),
    )
    number = data.draw(st.integers(0, 4))
    whole = places(order, number)
    for position in data.draw(st.lists(st.integers(0, order.length - 1), max_size=8)):
        assert order.epoch(number)[position] == whole[position]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0.01, 5)), min_size=1, max_size=4),
    st.integers(1, 150),
)
def test_datasets_come_by_their_weights_and_none_repeats_before_its_end(datasets, length):
    sizes, weights = zip(*datasets, strict=True)
    order = Order(sizes=sizes, weights=weights, length=length, seed=3, block=4, window=2)
    assert sum(order.counts) == length
    ideal = np.array(weights) / sum(weights) * length
    assert (np.abs(np.array(order.counts) - ideal) < 1).all()
    seen = Counter(place for number in range(3) for place in order.epoch(number))
    for dataset, size in enumerate(sizes):
        times = [seen[dataset, index] for index in range(size)]
        assert sum(times) == 3 * order.counts[dataset]
        # three epochs on a stretch of the dataset's passes: whole ones and one that is cut
        assert max(times) - min(times) <= 1


def test_datasets_are_interleaved_all_along():
    order = Order(sizes=(9000, 400), weights=(3.0, 1.0), length=12_000, seed=0)
    datasets = np.array([dataset for dataset, _ in places(order, 0)]).reshape(12, -1)
    assert (np.abs(datasets.mean(axis=1) - 0.25) < 0.05).all()


@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 5))
def test_a_window_reads_few_blocks(size, block, window):
    one = Pass(size, block=block, window=window, seed=(0, 0, 0))
    blocks = [one[position] // block for position in range(size)]
    last = {found: position for position, found in enumerate(blocks)}
    opened: set[int] = set()
    for position, found in enumerate(blocks):
        opened.add(found)
        assert len(opened) <= window
        opened -= {b for b in opened if last[b] == position}


def test_eleven_million_samples_need_a_compact_index():
    one = Pass(11_000_000, block=256, window=16, seed=(0, 0, 0))
    stored = sum(v.nbytes for v in vars(one).values() if isinstance(v, np.ndarray))
    assert stored < 250_000
    found = [one[position] for position in range(5_000_000, 5_004_096)]
    assert len(set(found)) == 4096 and len({index // 256 for index in found}) <= 32


@pytest.mark.parametrize(
    "wrong",
    [{"sizes": (0,)}, {"weights": (0.0,)}, {"weights": (1.0, 2.0)}, {"length": 0}, {"block": 0}],
)
def test_what_has_no_order_is_refused(wrong):
    with pytest.raises(ValueError, match=r"leave it out|give 1|at least 1"):
        Order(**{"sizes": (4,), "weights": (1.0,), "length": 4, "seed": 0} | wrong)
    with pytest.raises(IndexError):
        alone(4).epoch(0)[4]
