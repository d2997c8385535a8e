"""How local a correction is: the pixels that one more click changes, and where they lie."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool


@dataclass(frozen=True, kw_only=True)
class Change:
    """Pixels that a click changed, and those of them that were right before it."""

    changed: int
    outside: int


def change(
    before: Bool[np.ndarray, "h w"],
    after: Bool[np.ndarray, "h w"],
    true: Bool[np.ndarray, "h w"],
    ignore: Bool[np.ndarray, "h w"],
) -> Change:
    """Return what changed, ignored pixels left out.

    The error region is every wrong pixel, not only the component that was clicked, so that what
    changed outside of it was right and is now wrong.
    """
    changed = (before != after) & ~ignore
    return Change(
        changed=int(np.count_nonzero(changed)),
        outside=int(np.count_nonzero(changed & (before == true))),
    )
