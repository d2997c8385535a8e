"""A loaded model: one interface for students, clickers and peers, and what each can answer."""

import os
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from PIL import Image
from torch import nn

from maskspace.session import ClickLike, ClickSession
from maskspace.types import Category, Embedding, Prediction

ImageLike = np.ndarray | Image.Image | str | bytes | os.PathLike[str]

#: What a model may be able to answer: the methods of `Segmenter`, and `classes`, that its
#: predictions have classes.
Answer = Literal[
    "embed",
    "hierarchy",
    "graph",
    "partition",
    "scales",
    "propose",
    "classes",
    "click",
    "click_probabilities",
    "refine",
    "session",
]


@runtime_checkable
class Tree(Protocol):
    """Nested partitions of one image.

    Example:
        >>> import numpy as np
        >>> from maskspace.partition.merge_tree import build_tree
        >>> isinstance(build_tree(np.zeros((1, 4, 4), np.float32)), Tree)
        True
    """

    @property
    def max_regions(self) -> int:
        """Return the most regions that there are."""
        ...

    def partition(self, regions: int, /) -> Int32[np.ndarray, "h w"]:
        """Return the partition into exactly `regions` regions, labels from 1."""
        ...


@runtime_checkable
class Graph(Protocol):
    """The superpixels of one image and the borders between them; see `RegionGraph`.

    Example:
        >>> import numpy as np
        >>> from maskspace.partition.region_graph import region_graph
        >>> isinstance(region_graph(np.ones((4, 4), np.int32)), Graph)
        True
    """

    @property
    def superpixels(self) -> Int32[np.ndarray, "r s"]:
        """Return the label of each pixel, from 1."""
        ...

    @property
    def size_hw(self) -> tuple[int, int]:
        """Return the rows and columns of the image."""
        ...

    @property
    def pairs(self) -> Int64[np.ndarray, "m 2"]:
        """Return the superpixels that share a border, by label less 1."""
        ...

    @property
    def strengths(self) -> Float64[np.ndarray, " m"]:
        """Return the mean strength along each border."""
        ...

    @property
    def means(self) -> Float64[np.ndarray, "k c"]:
        """Return the mean features of each superpixel."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model, as `maskspace.load` returns it. A kind of model is a subclass.

    A kind declares in `answers` what it can answer, and writes those methods alone: the others
    raise ValueError that names the model, the question and what it does answer. Images are uint8
    RGB arrays, PIL images, encoded bytes or paths, from 16x16 pixels to 144 megapixels; those above
    12 are worked on smaller and answered at their own size.

    name: for tables and errors.
    ranking: what decides the order of its proposals, in words.
    answers: what it can be asked for.
    working_side: pixels of the longer side that every image is brought to, None if images keep
        theirs.
    categories: what the classes of its predictions are: class k is `categories[k]`.

    Example:
        >>> import numpy as np
        >>> class Whole(Segmenter):
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...     def propose(self, image, limit=100):
        ...         masks = np.ones((1, *image.shape[:2]), bool)
        ...         return Prediction(masks, np.ones(1, np.float32))
        >>> len(Whole().propose(np.zeros((16, 16, 3), np.uint8)))
        1
        >>> Whole().embed("photo.jpg")
        Traceback (most recent call last):
        ValueError: whole cannot answer embed; it answers propose
    """

    name: str
    ranking: str
    answers: frozenset[Answer]
    working_side: int | None = None
    categories: tuple[Category, ...] = ()

    def embed(self, image: ImageLike) -> Embedding:
        """Return a feature vector per pixel at the model's working resolution."""
        raise cannot_answer(self, "embed")

    def hierarchy(self, image: ImageLike) -> Tree:
        """Return the tree that answers every number of regions in milliseconds."""
        raise cannot_answer(self, "hierarchy")

    def graph(self, image: ImageLike) -> Graph:
        """Return the tree's superpixels with their areas, features and borders."""
        raise cannot_answer(self, "graph")

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return exactly `regions` 4-connected regions with labels from 1."""
        raise cannot_answer(self, "partition")

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterable[Int32[np.ndarray, "h w"]]:
        """Return partitions at the model's own scales, equally many for every image.

        A model without own scales uses `counts`, numbers of regions. Labels begin at 1.
        """
        raise cannot_answer(self, "scales")

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return at most `limit` masks at the image's size, best first."""
        raise cannot_answer(self, "propose")

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks (x, y, positive) describe together, cut at 0.5."""
        raise cannot_answer(self, "click")

    def click_probabilities(
        self, image: ImageLike, clicks: Sequence[ClickLike]
    ) -> Float32[np.ndarray, "k h w"]:
        """Return for each of k clicks, by itself, a map of probabilities in [0, 1]."""
        raise cannot_answer(self, "click_probabilities")

    def refine(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        previous: Float32[np.ndarray, "h w"] | None = None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return the probability by all clicks together.

        `previous` is the last such probability; None in the first round.
        """
        raise cannot_answer(self, "refine")

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on one image that can be added, undone, saved and loaded."""
        raise cannot_answer(self, "session")

    def of_image(self, key: str) -> "Segmenter":
        """Return what answers for the image with this key: the model itself.

        Results that were computed before are found by the key instead.
        """
        del key
        return self

    def version(self) -> str | None:
        """Return a version of what the model answers from; None if that is a network."""
        return None

    def networks(self) -> list[nn.Module]:
        """Return the networks whose weights decide what the model answers."""
        return []


def cannot_answer(model: Segmenter, question: Answer) -> ValueError:
    """Return the error of a model that is asked a question that it has not declared.

    Example:
        >>> class Nothing(Segmenter):
        ...     name, ranking, answers = "nothing", "nothing", frozenset({"propose"})
        >>> str(cannot_answer(Nothing(), "click"))
        'nothing cannot answer click; it answers propose'
    """
    known = [one for one in get_args(Answer) if one in model.answers]
    listed = " and ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
    return ValueError(f"{model.name} cannot answer {question}; it answers {listed or 'nothing'}")
