"""What evaluation asks of a model; what it cannot answer, it refuses with a ValueError."""

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8
from torch import nn

from maskspace.types import Click, Embedding, Prediction


@runtime_checkable
class Tree(Protocol):
    """Nested partitions of one image."""

    @property
    def max_regions(self) -> int:
        """Return the most regions that there are."""
        ...

    def partition(self, regions: int, /) -> Int32[np.ndarray, "h w"]:
        """Return the partition to exactly `regions` regions."""
        ...


@runtime_checkable
class Model(Protocol):
    """A loaded model or peer, as `maskspace.load` returns it."""

    @property
    def ranking(self) -> str:
        """Return what the model's proposals are ranked by."""
        ...

    def embed(self, image: UInt8[np.ndarray, "h w 3"], /) -> Embedding:
        """Return the features of an image."""
        ...

    def hierarchy(self, image: UInt8[np.ndarray, "h w 3"], /) -> Tree:
        """Return the tree of an image's partitions."""
        ...

    def propose(self, image: UInt8[np.ndarray, "h w 3"], /, limit: int) -> Prediction:
        """Return at most `limit` masks, best first."""
        ...

    def click(
        self, image: UInt8[np.ndarray, "h w 3"], /, clicks: Sequence[Click]
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the object that the clicks mark together, cut at 0.5."""
        ...


@runtime_checkable
class ScaledModel(Protocol):
    """A model whose partitions come by scales of its own, or in a way of its own."""

    def scales(
        self, image: UInt8[np.ndarray, "h w 3"], /, counts: Sequence[int]
    ) -> Iterable[Int32[np.ndarray, "h w"]]:
        """Return partitions, as many for every image; `counts` are the regions of those of a tree.

        Labels are 1 and more.
        """
        ...


@runtime_checkable
class ProbabilityModel(Protocol):
    """A model that gives a map of foreground probability for each click."""

    def click_probabilities(
        self, image: UInt8[np.ndarray, "h w 3"], /, clicks: Sequence[Click]
    ) -> Float32[np.ndarray, "k h w"]:
        """Return for each of k distinct clicks, by itself, a map of probabilities in [0, 1]."""
        ...


@runtime_checkable
class RefiningModel(Protocol):
    """A model that answers all clicks together, given what it answered the round before."""

    def refine(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        /,
        clicks: Sequence[Click],
        previous: Float32[np.ndarray, "h w"] | None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return the probability of the foreground; `previous` is the last one, None at first."""
        ...


@runtime_checkable
class SquareModel(Protocol):
    """A model that brings every image to one size before it looks."""

    @property
    def working_side(self) -> int | None:
        """Return the longer side of that size in pixels; None if images keep their own."""
        ...


#: What can be asked for clicks, in one of three ways.
ClickedModel = Model | ProbabilityModel | RefiningModel


@runtime_checkable
class NetworkMethod(Protocol):
    """A method that asks networks of its own."""

    def networks(self) -> list[nn.Module]:
        """Return the networks whose weights decide what the method answers."""
        ...
