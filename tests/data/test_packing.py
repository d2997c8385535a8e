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


@given(st.lists(st.tuples(st.integers(0, 3000), st.sampled_from(["send", "receive", "drop"]))))
@settings(deadline=None)
def test_blocks_are_used_again_and_never_while_an_array_lives(steps):
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    waiting: list[tuple[Packed, np.ndarray]] = []
    kept: list[tuple[int, object, np.ndarray]] = []
    dropped: set[int] = set()  # handed back when something is received
    most = 0
    for value, (size, step) in enumerate(steps):
        if step == "send":
            array = np.full(size + 1, value, np.int32)
            packed = sender([array])
            taken = {one.number for one, _ in waiting} | {number for number, *_ in kept} | dropped
            most = max(most, len(taken) + 1)
            assert packed.number not in taken and packed.number < most
            waiting.append((packed, array))
        elif step == "receive" and waiting:
            packed, expected = waiting.pop(0)
            dropped.clear()
            kept.append((packed.number, receiver(packed), expected))
        elif step == "drop" and kept:
            dropped.add(kept.pop(0)[0])
    for _, found, expected in kept:
        check_equal(found, [expected])


def test_one_array_keeps_the_block_of_all():
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    first, second = receiver(sender([np.zeros(100), np.ones(100)]))
    view = second[1::2]
    del first, second
    for number in range(3):
        assert (receiver(sender(np.full(100, number))) == number).all()
    assert (view == 1).all()
    view += 1  # an array of the receiver's own: it may be written to
    assert (view == 2).all()


def test_a_block_travels_once():
    returned = [multiprocessing.SimpleQueue()]
    sender, receiver = Sender(returned), Receiver(returned)
    for number in range(6):
        packed = sender(np.full(100, number))
        assert (packed.block is not None) == (number < 2)  # it is told of the first one's end late
        assert (receiver(packed) == number).all()


def test_arrays_that_are_not_contiguous_arrive_in_order():
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(sent([array])[0][0], array)


def test_a_record_of_checked_arrays_is_taken_apart():
    record = dense(read_rectangles("", seed=0, limit=1)[0])
    again, number = sent((record, 3))[0]
    assert isinstance(again, Dense) and number == 3
    np.testing.assert_array_equal(again.masks, record.masks)
