"""Records and protocols that cross packages: samples, clicks, proposals, heads, models."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from maskspace.masks.coded import decode, encode
from maskspace.rgb import MAX_PIXELS as MAX_PIXELS
from maskspace.rgb import UNREADABLE as UNREADABLE
from maskspace.rgb import open_image as open_image
from maskspace.rgb import read_rgb as read_rgb
from maskspace.rgb import shrink_image as shrink_image


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One mask of a sample, as COCO run lengths.

    `counts` is COCO's compressed run-length string for the sample's `size_hw`; `box_xywh` is in
    pixels with w and h the numbers of columns and rows covered (pycocotools' convention, one more
    than SA-1B's); `parent` is the id of the smallest mask that contains this one, or None;
    `score` is the source's own confidence in [0, 1], 1 for a person's annotation; an `ignore`
    annotation marks pixels that no metric and no loss may count; masks of one `layer` come from one
    person or one pass, where a source has several (BSDS500's annotators, from 0).
    """

    id: int
    counts: str
    area: int
    box_xywh: tuple[int, int, int, int]
    parent: int | None = None
    score: float = 1.0
    ignore: bool = False
    layer: int = 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its masks: what every reader yields and every shard holds.

    `image` holds the source's encoded bytes untouched and `extension` its format ("jpg", "png");
    masks live in the frame of the image after its EXIF rotation, whose size is `size_hw`.
    `key` is unique in its dataset and made of [A-Za-z0-9_-]. `split` is the source's own split
    ("train", "val", "test"), or None where the source has none.
    """

    key: str
    dataset: str
    image: bytes
    extension: str
    size_hw: tuple[int, int]
    annotations: tuple[Annotation, ...]
    split: str | None = None
    licence: str = "unknown"
    source: str = ""


@dataclass(frozen=True)
class Click:
    """A pixel of the original image, column `x` and row `y` from the top left, and its sign."""

    x: int
    y: int
    positive: bool = True


class Proposals:
    """Predicted masks of an image, best first; `scores` never increase.

    Held as dense masks or as COCO's strings; the other form is made when it is first asked for.
    A thousand dense masks of twelve megapixels are 12 GB, their strings a few MB.
    """

    def __init__(self, masks: Bool[np.ndarray, "n h w"], scores: Float32[np.ndarray, " n"]) -> None:
        self.size_hw = (masks.shape[1], masks.shape[2])
        self.scores = scores
        self.masks = masks

    @classmethod
    def of_strings(
        cls, counts: Sequence[str], size_hw: tuple[int, int], scores: Float32[np.ndarray, " n"]
    ) -> "Proposals":
        """Return proposals that are held as COCO's compressed strings."""
        held = cls.__new__(cls)
        held.size_hw, held.scores, held.counts = size_hw, scores, list(counts)
        return held

    def __len__(self) -> int:
        """Return the number of proposals."""
        return len(self.scores)

    @cached_property
    def masks(self) -> Bool[np.ndarray, "n h w"]:
        """The dense masks."""
        return decode(self.counts, self.size_hw)

    @cached_property
    def counts(self) -> list[str]:
        """COCO's compressed run lengths of each mask."""
        return encode(self.masks)

    def blocks(self, *, pixels: int = 2**28) -> Iterator[Bool[np.ndarray, "_ h w"]]:
        """Yield all masks in turn, dense, about so many pixels at a time and one mask at least."""
        step = max(1, pixels // max(1, self.size_hw[0] * self.size_hw[1]))
        for begin in range(0, len(self), step):
            part = slice(begin, begin + step)
            dense = "masks" in self.__dict__
            yield self.masks[part] if dense else decode(self.counts[part], self.size_hw)


@dataclass(frozen=True)
class Embedding:
    """A feature vector per pixel at several strides: `levels[stride]` is float32 `c h w`."""

    levels: Mapping[int, Float32[np.ndarray, "c h w"]]


@dataclass(frozen=True, kw_only=True)
class Head:
    """A map that a network emits: `channels` values in each cell of `stride` pixels a side.

    `activation` is applied first: `unit` makes every vector one of length 1; `scale` multiplies
    what it gives. Then `position` brings in where a cell is, its centre's x and y in pixels over
    `unit`: `add` adds them to the first two channels, `concat` appends them (as two channels more
    than `channels`). `bias` is the value of each channel before the activation in a new network,
    whose weights then begin at 0 (None: as convolutions begin). A `constant` head is learnt but the
    same in every image, of one cell.
    """

    channels: int
    stride: int = 1
    activation: Literal["none", "sigmoid", "tanh", "unit"] = "none"
    scale: float = 1.0
    position: Literal["none", "add", "concat"] = "none"
    unit: float = 1.0
    bias: tuple[float, ...] | None = None
    constant: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        if self.channels < 1 or self.stride < 1 or self.unit <= 0:
            raise ValueError(f"a head has channels and stride of at least 1, unit > 0; got {self}")
        if self.position == "add" and self.channels < 2:
            raise ValueError("a head that positions are added to has two channels or more")
        if self.bias is not None and len(self.bias) != self.channels:
            raise ValueError(f"bias has a value a channel ({self.channels}); got {self.bias}")


@runtime_checkable
class Reader(Protocol):
    """Give a dataset as a lazy sequence, in an order that the file system does not decide."""

    def __call__(self, root: str, *, seed: int, limit: int | None) -> Sequence[Sample]:
        """Read `root`; generated datasets use `seed`; the first `limit` samples if not None."""
        ...


Features = TypeVar("Features")
Unit = TypeVar("Unit")
Result = TypeVar("Result")


@runtime_checkable
class ClickModel(Protocol[Features]):
    """A model that turns one click into one map of foreground logits.

    What it computes once an image is of a kind that only the model knows.
    """

    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> Features:
        """Return the features of one image, computed once for any number of clicks."""
        ...

    def click_logits(
        self,
        features: Features,
        size_hw: tuple[int, int],
        clicks_xy: Int[np.ndarray, "k 2"],
        positive: Bool[np.ndarray, " k"],
    ) -> Float32[np.ndarray, "k r s"]:
        """Return one logit map a click, at the model's own resolution r s, for clicks in pixels."""
        ...


@runtime_checkable
class InteractiveModel(Protocol[Features]):
    """A click model that also answers all clicks together, given the map of the round before."""

    def mask_logits(
        self,
        features: Features,
        size_hw: tuple[int, int],
        clicks_xy: Int[np.ndarray, "k 2"],
        positive: Bool[np.ndarray, " k"],
        previous: Float32[np.ndarray, "h w"] | None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return one map of foreground logits at the image's size; `previous` is a probability."""
        ...


@runtime_checkable
class Proposer(Protocol):
    """A method that turns an image into ranked masks."""

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], *, limit: int = 100) -> Proposals:
        """Return at most `limit` proposals at the image's size, best first."""
        ...


@runtime_checkable
class ClickAnswer(Protocol):
    """What answers clicks on one image that it has looked at before."""

    def __call__(self, clicks: Sequence[Click]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that one click or more, all inside the image, describe."""
        ...


@runtime_checkable
class ClickMethod(Protocol):
    """A method that looks at an image once, and then answers clicks on it."""

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> ClickAnswer:
        """Return what answers clicks on the image."""
        ...


@runtime_checkable
class MapUnits(Protocol):
    """Apply a function to units of work, here or on a cluster; `map` is one.

    Example:
        >>> isinstance(map, MapUnits)
        True
    """

    def __call__(
        self, function: Callable[[Unit], Result], units: Iterable[Unit], /
    ) -> Iterable[Result]:
        """Return the results in the order of the units, as they become available."""
        ...
