"""What was measured, in short names: two runs that name the same measured the same."""

import hashlib
import json
from collections.abc import Iterable

from torch import nn

from maskspace.evaluation.model import NetworkMethod
from maskspace.evaluation.rows import Row

#: Hexadecimal digits of a name: 48 bits.
DIGITS = 12


def weights_version(model: object) -> str | None:
    """Return a name of a model's weights, or None for a method that has none."""
    networks = [part for part in vars(model).values() if isinstance(part, nn.Module)]
    if isinstance(model, NetworkMethod):
        networks += model.networks()
    digest = hashlib.sha256()
    for network in networks:
        for key, weight in network.state_dict().items():
            digest.update(key.encode() + weight.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:DIGITS] if networks else None


def truth_version(rows: Iterable[Row]) -> str:
    """Return a name of the truth that rows are of: keys of images, ids and areas of masks."""
    seen = sorted({(row.key, row.pixels, tuple(row.ids), tuple(row.areas)) for row in rows})
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:DIGITS]
