"""A network's maps of a large image, tile by tile, as if it had seen the whole image at once.

Input: an image and a network that looks no farther than a halo. Idea: what a pixel's output depends
on lies within the halo, so that a tile with its halo gives the very outputs of the whole image.
Steps: the image is padded once, as the network would; the tiles lie on one grid, at multiples of
the network's coarsest stride; each is seen with its halo, which is cut off; what is left is one
map, from which one flooding and one tree are made. Nothing is normalised by tile.
Cost: (1 + 2 halo / side)^2 of the network's time on the whole; memory of one tile, and the maps.

A tile that fails is an error: there are no holes.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from maskspace.heads import DenseMap, Head, maps_of
from maskspace.parallel import PaceLine

#: Tiles begin at multiples of this, so that the grids of all strides are the whole image's.
ALIGNED = 32
#: Maps that are larger, as float32, are kept in a file, as float16.
MOST_BYTES = 1 << 30
#: How many pixels a side of so many is padded by, before and after.
Margins = Callable[[int], tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class Tiles:
    """How an image is cut: squares of `side` pixels, each seen with `halo` pixels around it.

    Args:
        side: a multiple of 32, at least 64.
        halo: a multiple of 32; for equality with the whole image half of the network's receptive
            field (default 256).

    Example:
        >>> Tiles(side=1000)
        Traceback (most recent call last):
            ...
        ValueError: tiles have a side and a halo that are multiples of 32, at least 64 and 0...
    """

    side: int
    halo: int = 256

    def __post_init__(self) -> None:
        """Refuse tiles that do not lie on the grids of all strides."""
        if self.side % ALIGNED or self.halo % ALIGNED or self.side < 64 or self.halo < 0:
            raise ValueError(
                f"tiles have a side and a halo that are multiples of {ALIGNED}, at least 64 and 0; "
                f"got {self.side} and {self.halo}"
            )


def tileable_heads(heads: Mapping[str, Head], *, name: str) -> dict[str, DenseMap]:
    """Return the maps of a network that can be put together from tiles.

    Raises ValueError, naming the model, for a head that says where in the image it is, or that
    belongs to the image as a whole.

    Example:
        >>> list(tileable_heads({"1": DenseMap(channels=3)}, name="mine"))
        ['1']
        >>> tileable_heads({"1": DenseMap(channels=3, position="add")}, name="mine")
        Traceback (most recent call last):
            ...
        ValueError: mine cannot be asked in tiles: its head 1 is of the image as a whole
    """
    for head_name, head in heads.items():
        if not isinstance(head, DenseMap) or head.position != "none":
            raise ValueError(
                f"{name} cannot be asked in tiles: its head {head_name} is of the image as a whole"
            )
    return maps_of(heads)


@dataclass(frozen=True)
class _Span:
    """A stretch of rows or columns: what is kept, and what is seen."""

    low: int
    high: int
    begin: int
    end: int


def _spans(side: int, tiles: Tiles) -> list[_Span]:
    """Return the stretches of a side; what is seen has 32 k + 1 pixels where the side has."""
    lows = range(0, max(1, side - 1), tiles.side)
    highs = [*lows[1:], side]
    return [
        _Span(low, high, max(0, low - tiles.halo), min(side, high + tiles.halo + 1))
        for low, high in zip(lows, highs, strict=True)
    ]


def tiled_outputs(
    look: Callable[[UInt8[np.ndarray, "h w 3"]], Mapping[str, Tensor]],
    image: UInt8[np.ndarray, "h w 3"],
    tiles: Tiles,
    *,
    heads: Mapping[str, DenseMap],
    margins: Margins | None = None,
) -> dict[str, Float[Tensor, "..."]]:
    """Return the maps of an image, put together from tiles.

    Args:
        look: the network: an image to its maps, `c h w`.
        image: the whole image.
        tiles: how it is cut.
        heads: the maps to put together; a map of stride s has ceil(h / s) rows.
        margins: how many pixels the network pads a side by, before and after (default None: it
            does not); it is done here, once, by repeating the edge.

    Maps are float32; those above 1 GiB are float16, in a file that is gone with them.

    Raises ValueError that names the tile where the network fails or its values are not finite.

    Example:
        >>> def grey(image):
        ...     return {"grey": torch.from_numpy(image).float().mean(2)[None]}
        >>> image = np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)
        >>> found = tiled_outputs(
        ...     grey, image, Tiles(side=64, halo=32), heads={"grey": DenseMap(channels=1)})
        >>> bool((found["grey"] == grey(image)["grey"]).all())
        True
    """
    height, width = image.shape[:2]
    top = left = 0
    if margins is not None:
        (top, bottom), (left, right) = margins(height), margins(width)
        image = np.pad(image, ((top, bottom), (left, right), (0, 0)), mode="edge")
    whole = {name: _empty(head, image) for name, head in heads.items()}
    for down, along in _shown(image, tiles):
        outputs = _looked(look, image[down.begin : down.end, along.begin : along.end], down, along)
        for name, head in heads.items():
            _put(whole[name], outputs[name], (down, along), head.stride, name)
    cut = {}
    for name, head in heads.items():
        row, column = top // head.stride, left // head.stride
        rows, columns = (-(-side // head.stride) for side in (height, width))
        cut[name] = torch.from_numpy(whole[name])[:, row : row + rows, column : column + columns]
    return cut


def _shown(image: UInt8[np.ndarray, "h w 3"], tiles: Tiles) -> Iterator[tuple[_Span, _Span]]:
    """Yield the rows and columns of each tile; long work tells its pace."""
    rows, columns = (_spans(side, tiles) for side in image.shape[:2])
    pairs = [(down, along) for down in rows for along in columns]
    pace = PaceLine("tiles", len(pairs))
    for pair in pairs:
        yield pair
        pace.step()


def _empty(head: DenseMap, image: UInt8[np.ndarray, "h w 3"]) -> np.ndarray:
    """Return an array for a map: in memory, or half as large in a file."""
    rows, columns = (-(-side // head.stride) for side in image.shape[:2])
    shape = (head.channels, rows, columns)
    if 4 * head.channels * rows * columns <= MOST_BYTES:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile() as file:  # the map keeps what the file holds
        return np.memmap(file, np.float16, mode="w+", shape=shape)


def _looked(
    look: Callable[[UInt8[np.ndarray, "h w 3"]], Mapping[str, Tensor]],
    part: UInt8[np.ndarray, "h w 3"],
    down: _Span,
    along: _Span,
) -> Mapping[str, Tensor]:
    try:
        return look(part)
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"{_place(down, along)}: the network failed ({error})") from None


def _put(
    whole: np.ndarray, found: Tensor, spans: tuple[_Span, _Span], stride: int, name: str
) -> None:
    """Write a tile's map without its halo where it belongs."""
    seen = [-(-(span.end - span.begin) // stride) for span in spans]
    if list(found.shape[1:]) != seen:
        raise ValueError(
            f"{_place(*spans)}: {name} has {tuple(found.shape[1:])} cells instead of {tuple(seen)}"
        )
    kept = [slice(span.low // stride, -(-span.high // stride)) for span in spans]
    first = [span.begin // stride for span in spans]
    inside = tuple(
        slice(part.start - at, part.stop - at) for part, at in zip(kept, first, strict=True)
    )
    values = found[(slice(None), *inside)].float().cpu().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"{_place(*spans)}: {name} is not finite; was the model trained?")
    whole[:, kept[0], kept[1]] = values


def _place(down: _Span, along: _Span) -> str:
    return f"tile of rows {down.low} to {down.high - 1}, columns {along.low} to {along.high - 1}"
