from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from maskspace.data.loader import Dense, dense
from maskspace.data.packing import Packed, pack, unpack
from maskspace.data.rectangles import read_rectangles


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


@given(values)
@settings(deadline=None)
def test_what_is_unpacked_is_what_was_packed(value):
    packed = pack(value)
    assert packed.block.is_shared()
    check_equal(unpack(packed), value)


def test_arrays_that_are_not_contiguous_arrive_in_order():
    array = np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(unpack(pack([array]))[0], array)


def test_arrays_are_read_in_place_and_outlive_the_packed_value():
    packed = pack([np.arange(5), np.ones(3, np.float32)])
    first, second = unpack(Packed(packed.value, packed.block))
    pointer = packed.block.data_ptr()
    assert first.ctypes.data == pointer and second.ctypes.data % 64 == pointer % 64
    del packed
    assert torch.zeros(1000).sum() == 0 and first.tolist() == [0, 1, 2, 3, 4]


def test_a_record_of_checked_arrays_is_taken_apart():
    record = dense(read_rectangles("", seed=0, limit=1)[0])
    again, number = unpack(pack((record, 3)))
    assert isinstance(again, Dense) and number == 3
    np.testing.assert_array_equal(again.masks, record.masks)
