"""The last image's answers are kept, so that many questions on one image cost one pass."""

import hashlib
from collections.abc import Callable
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import UInt8

Value = TypeVar("Value")


class LastImage(Generic[Value]):
    """What was computed for the image asked about last; another process begins with nothing.

    Example:
        >>> last = LastImage()
        >>> image = np.zeros((2, 2, 3), np.uint8)
        >>> last.get(image, lambda image: image.shape)
        (2, 2, 3)
        >>> last.get(image, lambda image: "not asked again")
        (2, 2, 3)
    """

    def __init__(self) -> None:
        self._known: tuple[bytes, Value] | None = None

    def __reduce__(self) -> tuple[type["LastImage[Value]"], tuple[()]]:
        """Pickle without what is remembered: it may hold locks, and is larger than the model."""
        return type(self), ()

    def get(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        compute: Callable[[UInt8[np.ndarray, "h w 3"]], Value],
    ) -> Value:
        """Return `compute(image)`, remembered from the last call if that was of an equal image."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16)
        digest.update(repr(image.shape).encode())
        known = self._known
        if known is None or known[0] != digest.digest():
            known = self._known = (digest.digest(), compute(image))
        return known[1]
