"""How local a correction is: the pixels that one more click changes, and where they are."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """The number of pixels that a click changed, and of those that were right before it.

    Example:
        >>> Change(changed=10, outside=2)
        Change(changed=10, outside=2)
    """

    changed: int
    outside: int


def change(
    before: Bool[np.ndarray, "h w"],
    after: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> Change:
    """Return what changed; ignored pixels do not count.

    `outside` is the number of changed pixels that were right before, and so are wrong now. The
    error is every wrong pixel of the image, not only the connected component that was clicked.

    Example:
        >>> before, after = np.array([[1, 0, 0]], bool), np.array([[1, 1, 1]], bool)
        >>> true, ignore = np.array([[1, 1, 0]], bool), np.zeros((1, 3), bool)
        >>> change(before, after, true, ignore)
        Change(changed=2, outside=1)
    """
    changed = (before != after) & ~ignore
    return Change(
        changed=int(np.count_nonzero(changed)),
        outside=int(np.count_nonzero(changed & (before == true))),
    )
