from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.data.expectations.dataset import _copies, _near_copies, _robust_z, _weighted_z

rows = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=12)


@given(rows)
def test_copies_are_those_of_the_loop_over_pairs(found: Sequence[tuple[int, int]]) -> None:
    values = np.array([v for v, _ in found], np.uint64)
    split = np.array([s for _, s in found], np.int64)
    later, own = _copies(values, split)
    for i, (value, here) in enumerate(found):
        same = [j for j, (other, _) in enumerate(found) if other == value]
        beyond = [j for j in same if split[j] > here]
        assert (later[i] in beyond) if beyond else later[i] == -1
        assert own[i] == next((j for j in same if split[j] == here and j < i), -1)


@given(rows, st.integers(0, 3))
def test_near_copies_are_those_of_the_loop_over_pairs(found, bits: int) -> None:
    looks = np.array([(1 << v) - 1 for v, _ in found], np.uint64)
    split = np.array([s for _, s in found], np.int64)
    flat = np.arange(len(found)) % 5 == 4
    later, own = _near_copies(looks, flat, split, near_bits=bits)
    for i in range(len(found)):
        near = [
            j
            for j in range(len(found))
            if j != i and not flat[i] and not flat[j]
            and int(looks[i] ^ looks[j]).bit_count() <= bits
        ]  # fmt: skip
        beyond = [j for j in near if split[j] > split[i]]
        assert (later[i] in beyond) if beyond else later[i] == -1
        assert own[i] == next((j for j in near if split[j] == split[i] and j < i), -1)


def test_the_unusual_is_far_out_and_the_usual_is_not() -> None:
    values = np.concatenate([np.random.default_rng(0).normal(5, 0.5, 1000), [12.0, -3.0]])
    z = _robust_z(values)
    assert (np.abs(z[:-2]) < 6).all() and z[-2] > 10 and z[-1] < -10


def test_a_minority_of_another_size_is_not_unusual_but_one_of_a_thousand_is() -> None:
    assert np.abs(_robust_z(np.array([16.0] * 64 + [17.0] * 16))).max() < 6
    assert np.abs(_robust_z(np.array([16.0] * 999 + [17.0]))).max() > 6


def test_a_histogram_gives_the_z_of_its_values() -> None:
    values = np.random.default_rng(1).normal(8, 2, 5000)
    bins = np.clip((values * 64).astype(np.int64), 0, 2000)
    counts, centres = np.bincount(bins, minlength=2001), (np.arange(2001) + 0.5) / 64
    assert _weighted_z(values, centres, counts) == pytest.approx(_robust_z(values), abs=0.02)


def test_few_values_have_nothing_usual() -> None:
    assert not _robust_z(np.array([1.0, 2.0, 300.0])).any()
