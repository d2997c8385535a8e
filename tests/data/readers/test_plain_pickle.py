import builtins
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

from maskspace.data.readers.plain_pickle import read_plain_pickle

PLAIN = {
    "000000000001": {"number": 3, "hierarchy": {0: None, 1: {"children": [2], "parent": None}}},
    "numbers": (0, -1, 255, 256, 70_000, -(2**31), 2**40, -(2**62), 1.5, True, False),
    "text": ["", "a" * 300, "é…", b"", b"\x00\xff" * 200, ()],
}
ARRAYS = [
    np.arange(300, dtype=np.uint8),
    np.arange(12, dtype=np.float32).reshape(3, 4),
    np.asfortranarray(np.arange(12).reshape(3, 4)),
    np.arange(6, dtype=">i2").reshape(1, 6),
    np.zeros((0, 3), bool),
    np.array(7, np.int64),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_reads_as_pickle_reads_it(protocol: int) -> None:
    assert read_plain_pickle(pickle.dumps(PLAIN, protocol), name="x") == PLAIN


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_and_numpys_numbers_read_as_pickle_reads_them(protocol: int) -> None:
    content = pickle.dumps((ARRAYS, ARRAYS[0], np.float32(0.5), np.int64(-3)), protocol)
    arrays, again, half, three = read_plain_pickle(content, name="x")  # type: ignore[misc]
    for one, other in zip(arrays, ARRAYS, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape and (one == other).all()
    assert (again == ARRAYS[0]).all() and half == 0.5 and three == -3


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpy_1_and_numpy_2_name_the_same_functions(protocol: int) -> None:
    two = pickle.dumps(ARRAYS[0], protocol)
    assert b"numpy._core." in two
    if protocol < 4:  # names end with a line end, and nothing counts their letters
        one = two.replace(b"numpy._core.", b"numpy.core.")
    else:
        for module in (b"multiarray", b"numeric"):
            old = b"numpy._core." + module
            new = old.replace(b"._", b".")
            two = two.replace(bytes([0x8C, len(old)]) + old, bytes([0x8C, len(new)]) + new)
        one = two
    assert b"numpy.core." in one
    assert (read_plain_pickle(one, name="x") == ARRAYS[0]).all()  # type: ignore[union-attr]


class Runs:
    def __init__(self, called: object, *arguments: object) -> None:
        self.called, self.arguments = called, arguments

    def __reduce__(self) -> tuple:
        return self.called, self.arguments


HOSTILE = {
    "system": Runs(os.system, "touch {}"),
    "eval": Runs(builtins.eval, "open('{}', 'w')"),
    "exec": [1, {"x": Runs(builtins.exec, "open('{}', 'w')")}],
    "getattr": Runs(getattr, os, "system"),
    "open": Runs(open, "{}", "w"),
}


@pytest.mark.parametrize("name", [n for n in HOSTILE if n != "getattr"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_code_is_refused_and_never_runs(tmp_path: Path, name: str, protocol: int) -> None:
    mark = tmp_path / "ran"
    text = pickle.dumps(HOSTILE[name], protocol)
    with pytest.raises(ValueError, match=r"x\.pickle: .*do not trust this file") as caught:
        read_plain_pickle(text.replace(b"{}", str(mark).encode()), name="x.pickle")
    assert not mark.exists() and "\n" not in str(caught.value)


OBJECTS = {
    "an object array": np.array([1, "a", None], object),
    "strings": np.array(["a", "bb"]),
    "records": np.zeros(2, [("a", "i4"), ("b", "f8")]),
    "times": np.zeros(2, "M8[s]"),
    "complex numbers": np.zeros(2, complex),
    "a set": {1, 2},
    "a complex number": 1j,
    "a slice": slice(3),
    "a type": int,
    "numpy's type": np.ndarray,
    "a number of 100 bits": 2**100,
    "a tuple as key": {(1, 2): 3},
    "a path": Path("x"),
}


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_what_is_no_plain_data_is_refused(name: str, protocol: int) -> None:
    with pytest.raises(ValueError, match=r"x: .*do not trust this file"):
        read_plain_pickle(pickle.dumps(OBJECTS[name], protocol), name="x")


def test_a_file_cut_or_changed_anywhere_never_does_more_than_raise_one_line() -> None:
    content = pickle.dumps((PLAIN, ARRAYS), 4)
    for end in range(len(content)):
        with pytest.raises(ValueError, match="x: "):
            read_plain_pickle(content[:end], name="x")
    rng = np.random.default_rng(0)
    for _ in range(3000):
        changed = bytearray(content)
        changed[rng.integers(len(content))] = rng.integers(256)
        try:
            read_plain_pickle(bytes(changed), name="x")
        except ValueError as error:
            assert str(error).startswith("x: ") and "\n" not in str(error)


def test_lengths_and_indices_of_the_file_reserve_no_memory() -> None:
    huge = struct.pack("<Q", 2**62)
    for content in (
        b"\x80\x04\x8e" + huge + b"a.",  # bytes of 4 exabytes
        b"\x80\x05\x96" + huge + b"a.",
        b"\x80\x04\x8d" + huge + b"a.",
    ):
        with pytest.raises(ValueError, match="not a whole pickle"):
            read_plain_pickle(content, name="x")
    # pickle itself would reserve room for four thousand million places
    assert read_plain_pickle(b"\x80\x04Nr\xff\xff\xff\xff.", name="x") is None


def test_the_number_of_objects_is_bounded() -> None:
    content = b"\x80\x04(" + b"]" * 1000 + b"t."
    assert len(read_plain_pickle(content, name="x", max_objects=1100)) == 1000  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="x: it holds too many objects"):
        read_plain_pickle(content, name="x", max_objects=900)


def test_an_array_whose_shape_is_not_its_content_is_refused() -> None:
    content = pickle.dumps(np.zeros(200, np.uint8), 3)
    assert content.count(b"K\xc8\x85") == 1  # its shape: (200,)
    with pytest.raises(ValueError, match="not a whole pickle"):
        read_plain_pickle(content.replace(b"K\xc8\x85", b"K\xc9\x85"), name="x")


def test_a_name_alone_or_a_state_without_an_array_is_no_data() -> None:
    with pytest.raises(ValueError, match="holds no plain data"):
        read_plain_pickle(b"\x80\x02cnumpy\nndarray\n.", name="x")
    with pytest.raises(ValueError, match="sets the state of a dict"):
        read_plain_pickle(b"\x80\x02}}b.", name="x")
    with pytest.raises(ValueError, match="it calls a dict"):
        read_plain_pickle(b"\x80\x02})R.", name="x")
