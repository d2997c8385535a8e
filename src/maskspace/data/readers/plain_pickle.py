"""Read pickles of plain data without unpickling: no name in a file is ever looked up or called.

Input: the bytes of a pickle, protocol 2 to 5. Idea: a small stack machine for the opcodes that
plain data needs (Python's `pickletools` documents them): lists, tuples, dictionaries, strings,
bytes, numbers, None, and numpy arrays of numbers as numpy 1 and 2 write them. Steps: read an
opcode, change the stack, until STOP. Everything else is refused, code above all. Cost: one pass
over the bytes.

Own code for safety, not for speed: it takes 4.6 times as long as an unpickler that allows numpy's
names alone, as Python's manual shows it, of which 27 bytes can ask for 2 GB
(`benchmarks/own_code.py`).
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

_KINDS = "biuf"
_MARK = object()

#: The only globals that a file may name, as module and name, and our short name for each.
_NAMES = {
    **{
        (f"numpy.{core}.{module}", name): name
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    },
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # bytes in protocol 2
    ("__builtin__", "bytes"): "bytes",  # empty bytes in protocol 2
}


class _RefusedError(Exception):
    """A file is refused; the message says why."""


class _Name:
    """A global that a file names: it is compared, never called."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Type:
    """A numeric dtype whose byte order is not yet set."""

    def __init__(self, code: str) -> None:
        self.dtype = np.dtype(code)


class _Array:
    """An array whose content is not yet read, and the places of it in the memo."""

    def __init__(self) -> None:
        self.places: list[int] = []


def read_plain_pickle(content: bytes, *, name: str, max_objects: int = 1_000_000) -> object:
    """Return what a pickle holds, if it is plain data.

    Args:
        content: the bytes of the pickle.
        name: the name of the file in errors.
        max_objects: a pickle of more objects is refused (default 1 000 000).

    Raises ValueError in one line that starts with `name` for anything else, such as code, and for a
    damaged file.

    Example:
        >>> import pickle
        >>> read_plain_pickle(pickle.dumps({"a": [1, (2.5, None)]}), name="a.pickle")
        {'a': [1, (2.5, None)]}
    """
    try:
        return _Machine(content, max_objects).run()
    except _RefusedError as error:
        raise ValueError(f"{name}: {error}; do not trust this file") from None
    except (IndexError, KeyError, TypeError, ValueError, struct.error, OverflowError) as error:
        raise ValueError(
            f"{name}: not a whole pickle ({type(error).__name__}); fetch it again"
        ) from None


class _Machine:
    """The stack machine of pickle, as much of it as plain data needs."""

    def __init__(self, content: bytes, max_objects: int) -> None:
        self.content, self.place = content, 0
        self.left = max_objects
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> object:
        opcodes, content = _OPCODES, self.content
        while True:
            code = content[self.place]
            self.place += 1
            if code == 0x2E:  # STOP
                return self._final()
            self.left -= 1
            if self.left < 0:
                raise _RefusedError("it holds too many objects")
            if code not in opcodes:
                raise _RefusedError(f"opcode {chr(code)!r} at byte {self.place - 1} makes no data")
            opcodes[code](self)

    def _final(self) -> object:
        if len(self.stack) != 1 or isinstance(self.stack[0], _Name | _Type | _Array):
            raise _RefusedError("it holds no plain data")
        return self.stack[0]

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes of the file; IndexError where there are fewer."""
        content = self.content[self.place : self.place + size]
        if size < 0 or len(content) != size:
            raise IndexError
        self.place += size
        return content

    def number(self, code: str) -> Any:
        return struct.unpack(code, self.take(struct.calcsize(code)))[0]

    def marked(self) -> list[Any]:
        """Remove the values above the last mark from the stack, and return them."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise IndexError
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def line(self) -> str:
        end = self.content.index(b"\n", self.place)
        return self.take(end + 1 - self.place)[:-1].decode("ascii")

    def remember(self, index: int) -> None:
        value = self.stack[-1]
        if isinstance(value, _Array):
            value.places.append(index)
        self.memo[index] = value

    def name(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str) or (module, name) not in _NAMES:
            raise _RefusedError(f"it names {f'{module}.{name}'[:80]!r}, which is no plain data")
        self.stack.append(_Name(_NAMES[module, name]))

    def extend(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise TypeError
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise TypeError
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise _RefusedError(f"a key of type {type(key).__name__} is no plain data")
            self.stack[-1][key] = value

    def call(self) -> None:
        """Replace a known name and its arguments on the stack by what the name stands for."""
        arguments = self.stack.pop()
        name = self.stack.pop()
        if not isinstance(name, _Name) or name.name not in _CALLS:
            raise _RefusedError(f"it calls a {type(name).__name__}")
        self.stack.append(_CALLS[name.name](*arguments))

    def build(self) -> None:
        """Set the byte order of a dtype, or the content of an array."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, _Type):
            _, order, *rest = state
            if order not in ("<", ">", "|", "=") or rest[:3] != [None] * 3:
                raise _RefusedError("its arrays are not of plain numbers")
            target.dtype = target.dtype.newbyteorder(order)
        elif isinstance(target, _Array):
            _, shape, kind, fortran, content = state
            array = _filled(content, kind, shape, "F" if fortran else "C")
            self.stack[-1] = array
            self.memo |= dict.fromkeys(target.places, array)
        else:
            raise _RefusedError(f"it sets the state of a {type(target).__name__}")


def _filled(content: object, kind: object, shape: object, order: object) -> np.ndarray:
    if not isinstance(kind, _Type) or not isinstance(content, bytes | bytearray):
        raise _RefusedError("its arrays are not of plain numbers")
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise TypeError
    values = np.frombuffer(content, kind.dtype)
    return values.reshape(shape, order="F" if order == "F" else "C")


def _dtype(code: object, *_: object) -> _Type:
    if not isinstance(code, str) or len(code) != 2 or code[0] not in _KINDS:
        raise _RefusedError(f"its arrays are of type {code!r:.20}, not of numbers")
    return _Type(code)


def _scalar(kind: object, content: object) -> object:
    return _filled(content, kind, (), "C")[()]


def _encode(text: str, encoding: str) -> bytes:
    if not isinstance(text, str) or encoding != "latin1":
        raise TypeError
    return text.encode("latin1")


#: What the known names do. The arguments of `_reconstruct` only repeat that it makes an array.
_CALLS: dict[str, Callable[..., object]] = {
    "_reconstruct": lambda *_: _Array(),
    "_frombuffer": lambda content, kind, shape, order: _filled(content, kind, shape, order),
    "dtype": _dtype,
    "scalar": _scalar,
    "encode": _encode,
    "bytes": lambda: b"",
}


def _push(make: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(make(machine))


def _sized(length: str, make: Callable[[bytes], object]) -> Callable[[_Machine], None]:
    """Return the function that reads a number of bytes, then these bytes, and pushes them."""
    return _push(lambda machine: make(machine.take(machine.number(length))))


def _last(number: int) -> Callable[[_Machine], None]:
    """Return the function that replaces the last `number` values of the stack by their tuple."""

    def pack(machine: _Machine) -> None:
        if len(machine.stack) < number:
            raise IndexError
        machine.stack[-number:] = [tuple(machine.stack[-number:])]

    return pack


def _integer(content: bytes) -> int:
    if len(content) > 8:
        raise _RefusedError("it holds a number of more than 64 bits")
    return int.from_bytes(content, "little", signed=True)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


def _pop_item(machine: _Machine) -> list[Any]:
    return [machine.stack.pop()]


def _pop_pair(machine: _Machine) -> list[Any]:
    value, key = machine.stack.pop(), machine.stack.pop()
    return [key, value]


def _pop_name(machine: _Machine) -> tuple[Any, Any]:
    name, module = machine.stack.pop(), machine.stack.pop()
    return module, name


#: The opcodes of plain data by their byte.
_OPCODES: dict[int, Callable[[_Machine], object]] = {
    0x80: lambda m: m.take(1),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    0x28: _push(lambda m: _MARK),
    0x4E: _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    0x4A: _push(lambda m: m.number("<i")),
    0x4B: _push(lambda m: m.number("<B")),
    0x4D: _push(lambda m: m.number("<H")),
    0x8A: _sized("<B", _integer),
    0x47: _push(lambda m: m.number(">d")),
    0x58: _sized("<I", _text),
    0x8C: _sized("<B", _text),
    0x8D: _sized("<Q", _text),
    0x42: _sized("<I", bytes),
    0x43: _sized("<B", bytes),
    0x8E: _sized("<Q", bytes),
    0x96: _sized("<Q", bytearray),
    0x5D: _push(lambda m: []),
    0x29: _push(lambda m: ()),
    0x7D: _push(lambda m: {}),
    0x61: lambda m: m.extend(_pop_item(m)),
    0x65: lambda m: m.extend(m.marked()),
    0x73: lambda m: m.update(_pop_pair(m)),
    0x75: lambda m: m.update(m.marked()),
    0x74: _push(lambda m: tuple(m.marked())),
    0x85: _last(1),
    0x86: _last(2),
    0x87: _last(3),
    0x71: lambda m: m.remember(m.number("<B")),  # BINPUT
    0x72: lambda m: m.remember(m.number("<I")),
    0x94: lambda m: m.remember(len(m.memo)),  # MEMOIZE
    0x68: _push(lambda m: m.memo[m.number("<B")]),
    0x6A: _push(lambda m: m.memo[m.number("<I")]),
    0x63: lambda m: m.name(m.line(), m.line()),  # GLOBAL
    0x93: lambda m: m.name(*_pop_name(m)),  # STACK_GLOBAL
    0x52: _Machine.call,
    0x62: _Machine.build,
}
