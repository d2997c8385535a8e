import multiprocessing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskspace.data.loader import Dense, dense
from maskspace.data.packing import Packed, Receiver, Sender
from maskspace.data.readers.rectangles import read_rectangles


class Pair(NamedTuple):
    left: object
    right: object


@dataclass(frozen=True)
class Named:
    name: str
    value: object


kinds = st.sampled_from([np.bool_, np.uint8, np.int64, np.float32, np.float64])
leaves = st.one_of(
    kinds.flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=5))),
    st.integers(),
    st.text(),
    st.none(),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.builds(Pair, inner, inner),
        st.builds(Named, st.text(), inner),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=8,
)


def check_equal(found: object, expected: object) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            check_equal(one, other)
    elif isinstance(expected, dict):
        check_equal(list(found.items()), list(expected.items()))
    elif isinstance(expected, Named):
        check_equal([found.name, found.value], [expected.name, expected.value])
    else:
        assert found == expected


def sent(*values: object) -> list[object]:
    """Values after a way through one worker's blocks, all of them sent before one is received."""
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    packed = [sender(value) for value in values]
    return [receiver(one) for one in packed]


@given(values)
@settings(deadline=None)
def test_what_arrives_is_what_was_sent(value):
    check_equal(sent(value)[0], value)


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=20))
@settings(deadline=None)
def test_blocks_are_used_again_and_never_before_they_were_received(steps):
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    waiting: list[tuple[Packed, np.ndarray]] = []
    arrived: list[tuple[object, np.ndarray]] = []
    most = 1
    for number, (size, receives) in enumerate(steps):
        array = np.full(size, number, np.int32)
        waiting.append((sender([array]), array))
        most = max(most, len(waiting))
        if receives:
            packed, expected = waiting.pop(0)
            arrived.append((receiver(packed), expected))
        assert packed_numbers(waiting) <= set(range(most))
    arrived += [(receiver(packed), expected) for packed, expected in waiting]
    for found, expected in arrived:
        check_equal(found, [expected])


def packed_numbers(waiting: list) -> set[int]:
    numbers = [packed.number for packed, _ in waiting]
    assert len(set(numbers)) == len(numbers)
    return set(numbers)


def test_a_block_travels_once():
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    for number in range(4):
        packed = sender(np.full(100, number))
        assert (packed.block is not None) == (number == 0)
        assert (receiver(packed) == number).all()


def test_arrays_that_are_not_contiguous_arrive_in_order():
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(sent([array])[0][0], array)


def test_a_record_of_checked_arrays_is_taken_apart():
    record = dense(read_rectangles("", seed=0, limit=1)[0])
    again, number = sent((record, 3))[0]
    assert isinstance(again, Dense) and number == 3
    np.testing.assert_array_equal(again.masks, record.masks)
