"""Short names of what was measured: runs with the same names measured the same."""

import hashlib
import json
from collections.abc import Iterable

from maskspace.evaluation.rows import Row
from maskspace.loaded import Segmenter

#: Hexadecimal digits of a name: 48 bits.
DIGITS = 12


def weights_version(model: Segmenter) -> str | None:
    """Return a name of a model's weights, or None for a method that has none.

    Example:
        >>> class Method(Segmenter):
        ...     name, ranking, answers = "method", "nothing", frozenset()
        >>> weights_version(Method()) is None
        True
    """
    networks = model.networks()
    digest = hashlib.sha256()
    for network in networks:
        for key, weight in network.state_dict().items():
            digest.update(key.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:DIGITS] if networks else model.version()


def truth_version(rows: Iterable[Row]) -> str:
    """Return a name of the truth that rows are of: keys of images, ids and areas of masks.

    Example:
        >>> row = Row(
        ...     dataset="d", model="m", key="a", masks=1, masks_too_small=0, ids=[1], areas=[9]
        ... )
        >>> truth_version([row]) == truth_version([row, row])
        True
    """
    masks_of_images = sorted(
        {(row.key, row.pixels, tuple(row.ids), tuple(row.areas)) for row in rows}
    )
    return hashlib.sha256(json.dumps(masks_of_images).encode()).hexdigest()[:DIGITS]
