"""Which samples are for training, validation and testing."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import UInt8

from maskspace.data.config import SplitConfig
from maskspace.data.manifest import SPLITS
from maskspace.data.source import Source


def assign_splits(source: Source, config: SplitConfig) -> UInt8[np.ndarray, " n"]:
    """Return for each sample of the source the index of its split in SPLITS.

    The hash that divides is of the sample's group, or of its key where the source has no groups
    or a single one. Raises ValueError for a sample whose own split leads to none of ours.
    """
    if config.mode == "hash":
        names = _units(source)
        return np.fromiter((_hashed(n, config.val, config.test) for n in names), np.uint8)
    ours = [_mapped(k, o, config) for k, o in zip(source.keys, source.splits, strict=True)]
    found = np.array(ours, np.uint8)
    val = config.val if not (found == SPLITS.index("val")).any() else 0.0
    test = config.test if not (found == SPLITS.index("test")).any() else 0.0
    train = SPLITS.index("train")
    divided = np.fromiter((_hashed(name, val, test) for name in _units(source)), np.uint8)
    return np.where(found == train, divided, found)


def require_splits(split: UInt8[np.ndarray, " n"], config: SplitConfig, *, root: str) -> None:
    """Raise ValueError for a split without a sample though its share is above 0."""
    shares = {"train": 1.0, "val": config.val, "test": config.test}
    for name, share in shares.items():
        if share > 0 and not (split == SPLITS.index(name)).any():
            raise ValueError(
                f"{root}: none of its {len(split)} samples falls in the split {name}; "
                "raise limit or the share of the split"
            )


def _units(source: Source) -> Sequence[str]:
    groups = source.groups
    return source.keys if groups is None or len(set(groups)) < 2 else groups


def _hashed(name: str, val: float, test: float) -> int:
    share = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    return 2 if share < test else 1 if share < test + val else 0


def _mapped(key: str, own: str | None, config: SplitConfig) -> int:
    ours = config.mode.get(own or "") if isinstance(config.mode, Mapping) else own
    if ours not in SPLITS:
        raise ValueError(
            f"{key}: the source's split {own!r} leads to no split; map it in split.mode, or set "
            "split.mode to hash"
        )
    return SPLITS.index(ours)
