"""The interface that all kinds of model answer, and the images that it takes."""

import os
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32
from PIL import Image

from maskspace.partition.merge_tree import MergeTree
from maskspace.session import ClickLike, ClickSession
from maskspace.types import Embedding, Prediction

ImageLike = np.ndarray | Image.Image | str | bytes | os.PathLike[str]


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model; `name` is for tables and errors, `ranking` what decides proposals' order.

    Images are uint8 RGB arrays, PIL images, encoded bytes or paths, from 16×16 to 12 megapixels;
    anything else, and what a model cannot answer, raises ValueError.
    """  # noqa: RUF002

    @property
    def name(self) -> str:
        """Return the model's name."""
        ...

    @property
    def ranking(self) -> str:
        """Return what proposals are ranked by."""
        ...

    def embed(self, image: ImageLike) -> Embedding:
        """Return a feature vector per pixel, in [0, 1], at the model's working resolution."""
        ...

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the tree that answers every number of regions in milliseconds."""
        ...

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return exactly `regions` 4-connected regions with labels from 1."""
        ...

    def propose(self, image: ImageLike, limit: int = 100) -> Prediction:
        """Return at most `limit` masks, best first."""
        ...

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks (x, y, positive) describe, whatever their order."""
        ...

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on one image that can be added, undone, saved and loaded."""
        ...
