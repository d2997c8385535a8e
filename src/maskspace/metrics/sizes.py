"""COCO's classes of size: small, medium, large, by the pixels of a mask in the original image."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int64

#: Class -> least and largest area, both included, as in pycocotools: 1024 is small and medium.
SIZES: Mapping[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}


def in_size(areas: Int64[np.ndarray, " n"], size: str) -> Bool[np.ndarray, " n"]:
    """Return whether each area, in pixels, is of a class of size.

    Raises ValueError for a class that `SIZES` does not have.

    Example:
        >>> in_size(np.array([100, 5000, 20000]), "medium").tolist()
        [False, True, False]
    """
    if size not in SIZES:
        raise ValueError(f"no class of size {size!r}; there are {', '.join(SIZES)}")
    least, greatest = SIZES[size]
    return (areas >= least) & (areas <= greatest)
