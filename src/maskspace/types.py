"""Records and protocols that several packages use: samples, categories, clicks, models."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

from maskspace.config import Choice
from maskspace.heads import Head
from maskspace.prediction import Prediction as Prediction
from maskspace.rgb import MAX_PIXELS as MAX_PIXELS
from maskspace.rgb import UNREADABLE as UNREADABLE
from maskspace.rgb import open_image as open_image
from maskspace.rgb import read_rgb as read_rgb
from maskspace.rgb import shrink_image as shrink_image


@dataclass(frozen=True, kw_only=True)
class Category:
    """A row of a dataset's table of categories: what its masks can be.

    id: the number that annotations refer to; the source's own if it has one.
    name: in the source's words ("person", "sky").
    is_thing: True for things that can be counted (persons); False for stuff that fills areas (the
        sky), of which an image has at most one mask (default True).

    Example:
        >>> Category(id=0, name="person").is_thing
        True
    """

    id: int
    name: str
    is_thing: bool = True


def read_categories(table: Iterable[Mapping[str, object]]) -> tuple[Category, ...]:
    """Return categories that are given as plain dictionaries, as JSON holds them.

    Example:
        >>> read_categories([{"id": 0, "name": "sky", "is_thing": False}])
        (Category(id=0, name='sky', is_thing=False),)
    """
    try:
        return tuple(Category(**one) for one in table)  # pyright: ignore[reportArgumentType]
    except TypeError as error:
        raise ValueError(f"a category is no id with a name ({error}); correct the table") from None


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One mask of a sample, as COCO run lengths.

    id: its number, unique in the sample.
    counts: COCO's compressed run-length string for the sample's `size_hw`.
    area: number of its pixels.
    box_xywh: first column and row, then the numbers of columns and rows that it covers
        (pycocotools' convention, one more than SA-1B's).
    parent: id of the smallest mask that contains this one, or None.
    score: the source's own confidence in [0, 1]; 1 for a person's annotation.
    ignore: whether its pixels count in no metric and no loss.
    layer: who drew it, or in which pass, from 0, if a source has several (BSDS500's annotators).
    category: id in the dataset's table of categories; None if the source names none.

    Example:
        >>> Annotation(id=1, counts="04", area=4, box_xywh=(0, 0, 2, 2)).layer
        0
    """

    id: int
    counts: str
    area: int
    box_xywh: tuple[int, int, int, int]
    parent: int | None = None
    score: float = 1.0
    ignore: bool = False
    layer: int = 0
    category: int | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One image with its masks: what every reader yields and every shard holds.

    key: unique in its dataset, made of [A-Za-z0-9_-].
    dataset: name of the dataset.
    image: the source's encoded bytes, unchanged.
    extension: their format ("jpg", "png").
    size_hw: height and width of the image after its EXIF rotation; masks have this size.
    annotations: the masks.
    split: the source's own split ("train", "val", "test"); None if it has none.
    licence, source: as the source says.
    left_out: a line for each annotation of the source that the reader could not take.

    Example:
        >>> sample = Sample(
        ...     key="000", dataset="toy", image=b"", extension="png", size_hw=(4, 4), annotations=()
        ... )
        >>> sample.licence
        'unknown'
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
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Click:
    """A pixel of the original image, column `x` and row `y` from the top left, and its sign.

    Example:
        >>> Click(3, 5)
        Click(x=3, y=5, positive=True)
    """

    x: int
    y: int
    positive: bool = True


@dataclass(frozen=True)
class Embedding:
    """A feature vector per pixel at several strides: `levels[stride]` is float32 `c h w`.

    Example:
        >>> Embedding({2: np.zeros((12, 4, 4), np.float32)}).levels[2].shape
        (12, 4, 4)
    """

    levels: Mapping[int, Float32[np.ndarray, "c h w"]]


@runtime_checkable
class Reader(Protocol):
    """Reads a dataset as a lazy sequence, in an order that does not depend on the file system.

    Example:
        >>> def nothing(root, *, seed, limit):
        ...     return []
        >>> isinstance(nothing, Reader)
        True
    """

    def __call__(self, root: str, *, seed: int, limit: int | None) -> Sequence[Sample]:
        """Read `root`.

        `seed` is used by generated datasets; with a `limit` only the first samples are read.
        """
        ...


Features = TypeVar("Features")
Unit = TypeVar("Unit")
Result = TypeVar("Result")


@runtime_checkable
class ClickModel(Protocol[Features]):
    """A model that turns one click into one map of foreground logits.

    Only the model knows the kind of its features, which it computes once for an image.

    Example:
        >>> class Constant:
        ...     def encode(self, image):
        ...         return None
        ...     def click_logits(self, features, size_hw, clicks_xy, positive):
        ...         return np.zeros((len(clicks_xy), *size_hw), np.float32)
        >>> isinstance(Constant(), ClickModel)
        True
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


def network_answers(network: object) -> frozenset[str]:
    """Return the questions that a network declares in its `answers`; none if it has none.

    A click model declares "click", and also "refine" if it is an `InteractiveModel`.

    Example:
        >>> class Network:
        ...     answers = frozenset({"click"})
        >>> network_answers(Network()), network_answers(object())
        (frozenset({'click'}), frozenset())
    """
    return getattr(network, "answers", frozenset())


@runtime_checkable
class InteractiveModel(Protocol[Features]):
    """A click model that also answers all clicks together, with the map of the round before.

    Example:
        >>> class Constant:
        ...     def mask_logits(self, features, size_hw, clicks_xy, positive, previous):
        ...         return np.zeros(size_hw, np.float32)
        >>> isinstance(Constant(), InteractiveModel)
        True
    """

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
class MapNetwork(Protocol):
    """A network from images in [0, 1], `b 3 h w`, to one output a head, and how it is read.

    declared: its heads by name, in the order in which it emits them.
    decoder: what makes a `Prediction` of its outputs; None: the merge tree of its levels.
    categories: what the classes of its predictions are; empty: they have none.

    Example:
        >>> from maskspace.models.unet import build_unet
        >>> isinstance(build_unet(width=4, depth=1), MapNetwork)
        Traceback (most recent call last):
            ...
        ValueError: head 4: stride 4; the network has 1, 2
    """

    @property
    def declared(self) -> Mapping[str, Head]:
        """Return the heads."""
        ...

    @property
    def decoder(self) -> Choice | None:
        """Return the decoder."""
        ...

    @property
    def categories(self) -> tuple[Category, ...]:
        """Return the table of classes."""
        ...


@runtime_checkable
class Proposer(Protocol):
    """A method that turns an image into ranked masks.

    Example:
        >>> def whole(image, *, limit=100):
        ...     return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> isinstance(whole, Proposer), len(whole(np.zeros((4, 4, 3), np.uint8)))
        (True, 1)
    """

    def __call__(self, image: UInt8[np.ndarray, "h w 3"], *, limit: int = 100) -> Prediction:
        """Return at most `limit` proposals at the image's size, best first."""
        ...


@runtime_checkable
class ClickAnswer(Protocol):
    """Answers clicks on one image that it has seen before.

    Example:
        >>> def nothing(clicks):
        ...     return np.zeros((4, 4), bool)
        >>> isinstance(nothing, ClickAnswer)
        True
    """

    def __call__(self, clicks: Sequence[Click]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe: one or more, all inside the image."""
        ...


@runtime_checkable
class ClickMethod(Protocol):
    """A method that sees an image once, and then answers clicks on it.

    Example:
        >>> def nothing_of(image):
        ...     return lambda clicks: np.zeros(image.shape[:2], bool)
        >>> isinstance(nothing_of, ClickMethod)
        True
    """

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> ClickAnswer:
        """Return what answers clicks on the image."""
        ...


@runtime_checkable
class MapUnits(Protocol):
    """Applies a function to units of work, here or on a cluster; `map` is one.

    Example:
        >>> isinstance(map, MapUnits)
        True
    """

    def __call__(
        self, function: Callable[[Unit], Result], units: Iterable[Unit], /
    ) -> Iterable[Result]:
        """Return the results in the order of the units, as they become available."""
        ...
