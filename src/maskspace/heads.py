"""Heads: the outputs of a network. An objective declares them, a model makes them, a decoder reads.

There are three kinds. A `Level` is a level of the embedding: a vector in each cell of `stride`
pixels a side. A `DenseMap` is any other map, such as `foreground`, `seed` or `direction`. `Queries`
are vectors that belong to no cell. The name of a level is its stride ("4"), and no other name is a
number: so the names alone say which outputs are levels.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class DenseMap:
    """A map of `channels` values in each cell of `stride` pixels a side.

    channels: values in a cell, at least 1.
    stride: pixels in the side of a cell, at least 1 (default 1).
    activation: applied first (default "none"); "unit" scales every vector to length 1.
    scale: factor of the activation's result (default 1).
    position: brings in x and y of the cell's centre (default "none"): "add" adds them to the first
        two channels, "concat" appends them as two more channels.
    unit: pixels that are 1 in a position (default 1).
    bias: value of each channel, before the activation, in a new network, whose weights then start
        at 0 (default None: the usual start of convolutions).

    Example:
        >>> DenseMap(channels=2, activation="unit").channels
        2
        >>> DenseMap(channels=0)
        Traceback (most recent call last):
            ...
        ValueError: a head has channels and stride of at least 1, unit > 0; got DenseMap(cha...
    """

    channels: int
    stride: int = 1
    activation: Literal["none", "sigmoid", "tanh", "unit"] = "none"
    scale: float = 1.0
    position: Literal["none", "add", "concat"] = "none"
    unit: float = 1.0
    bias: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.channels < 1 or self.stride < 1 or self.unit <= 0:
            raise ValueError(f"a head has channels and stride of at least 1, unit > 0; got {self}")
        if self.position == "add" and self.channels < 2:
            raise ValueError("a head that positions are added to has two channels or more")
        if self.bias is not None and len(self.bias) != self.channels:
            raise ValueError(f"bias has a value a channel ({self.channels}); got {self.bias}")


@dataclass(frozen=True, kw_only=True)
class Level(DenseMap):
    """A level of the embedding: a vector a cell; all that `DenseMap` says holds of it.

    Example:
        >>> Level(channels=12, stride=2, activation="sigmoid").stride
        2
    """


@dataclass(frozen=True, kw_only=True)
class Queries:
    """Vectors that belong to no cell: `number` vectors of `channels` values, output as `b n c`.

    A network that does not compute them learns them as parameters: they are the same for every
    image.

    number: how many, at least 1.
    channels: values of each, at least 1 (default 1).
    start: all values in a new network (default None: drawn from a standard normal).

    Example:
        >>> Queries(number=100, channels=16).number
        100
    """

    number: int
    channels: int = 1
    start: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.number < 1 or self.channels < 1:
            raise ValueError(f"queries have number and channels of at least 1; got {self}")


Head = DenseMap | Queries
KINDS: dict[str, type[DenseMap] | type[Queries]] = {
    "level": Level,
    "map": DenseMap,
    "queries": Queries,
}


def level_name(stride: int) -> str:
    """Return the name of the level of a stride.

    Example:
        >>> level_name(4)
        '4'
    """
    return str(stride)


def levels_of(outputs: Mapping[str, Value]) -> dict[int, Value]:
    """Return the outputs that are levels, by stride, the finest first.

    Example:
        >>> levels_of({"4": "coarse", "seed": "seeds", "1": "fine"})
        {1: 'fine', 4: 'coarse'}
    """
    by_stride = {int(name): value for name, value in outputs.items() if _is_level(name)}
    return dict(sorted(by_stride.items()))


def maps_of(heads: Mapping[str, Head]) -> dict[str, DenseMap]:
    """Return the heads that are maps: all but queries.

    Example:
        >>> list(maps_of({"1": Level(channels=3), "query": Queries(number=5)}))
        ['1']
    """
    return {name: head for name, head in heads.items() if isinstance(head, DenseMap)}


def is_colour(head: Head) -> bool:
    """Return whether a head is a colour level: a level of the embedding with values in [0, 1].

    Example:
        >>> is_colour(Level(channels=3, activation="sigmoid")), is_colour(Level(channels=3))
        (True, False)
    """
    return isinstance(head, Level) and head.activation == "sigmoid"


def checked_heads(heads: Mapping[str, Head]) -> dict[str, Head]:
    """Return the heads; ValueError for a name that does not fit its kind or its stride.

    Example:
        >>> list(checked_heads({"1": Level(channels=3)}))
        ['1']
        >>> checked_heads({"2": Level(channels=3)})
        Traceback (most recent call last):
            ...
        ValueError: head 2: its stride is 1; name it so
    """
    for name, head in heads.items():
        if isinstance(head, Level) != _is_level(name):
            raise ValueError(f"head {name}: a level of the embedding, and no other, is a number")
        if isinstance(head, Level) and name != level_name(head.stride):
            raise ValueError(f"head {name}: its stride is {head.stride}; name it so")
    return dict(heads)


def _is_level(name: str) -> bool:
    return name.isascii() and name.isdecimal()


def heads_as_options(heads: Mapping[str, Head]) -> dict[str, dict[str, object]]:
    """Return heads as plain dictionaries, as in a model's options and its model.json.

    Example:
        >>> heads = {"seed": DenseMap(channels=1, stride=2)}
        >>> heads_of_options(heads_as_options(heads)) == heads
        True
    """
    kinds = {kind: name for name, kind in KINDS.items()}
    return {name: {"kind": kinds[type(head)], **asdict(head)} for name, head in heads.items()}


def heads_of_options(declared: Mapping[str, Mapping[str, object]]) -> dict[str, Head]:
    """Return heads given as plain dictionaries; ValueError in one line for a wrong one.

    Models that were saved before heads had kinds can be read too.

    Example:
        >>> heads = {"1": Level(channels=3), "query": Queries(number=5)}
        >>> heads_of_options(heads_as_options(heads)) == heads
        True
    """
    return checked_heads({name: _head(name, options) for name, options in declared.items()})


def _head(name: str, options: Mapping[str, object]) -> Head:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    kind = values.pop("kind", None)
    is_constant = values.pop("constant", False)
    if kind is None and is_constant:  # saved before there were kinds: all queries in a row
        number, bias = values["channels"], values.get("bias")
        values = {"number": number, "start": bias[0] if isinstance(bias, tuple) else None}
        kind = "queries"
    kind = kind or ("level" if _is_level(name) else "map")
    try:
        return KINDS[str(kind)](**values)  # pyright: ignore[reportArgumentType]
    except KeyError:
        raise ValueError(f"head {name}: kind {kind!r} is none of {', '.join(KINDS)}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"head {name}: {error}") from None
