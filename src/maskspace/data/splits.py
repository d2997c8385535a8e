"""Which samples are for training, for validation and for testing."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from maskspace.data.config import SplitConfig
from maskspace.data.manifest import SPLITS
from maskspace.data.source import Source

#: Shares that are held out of so few images that a smaller share holds none.
_MORE = (0.2, 0.3, 0.5)


def assign_splits(source: Source, config: SplitConfig) -> UInt8[np.ndarray, " n"]:
    """Return for each sample of the source the index of its split in SPLITS.

    The hash that decides is that of the sample's group, or of its key if the source has no groups
    or a single one. ValueError for a sample whose own split is not mapped to one of ours.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> source = read_rectangles("", seed=0, limit=10)
        >>> config = SplitConfig(mode="hash", val=0.2, test=0.2)
        >>> assign_splits(source, config).tolist()  # 0 train, 1 val, 2 test
        [1, 0, 0, 0, 2, 0, 2, 2, 0, 0]
    """
    if config.mode == "hash":
        names = _units(source)
        return np.fromiter((_hashed(n, config.val, config.test) for n in names), np.uint8)
    ours = [_mapped(k, o, config) for k, o in zip(source.keys, source.splits, strict=True)]
    own = np.array(ours, np.uint8)
    val = config.val if not (own == SPLITS.index("val")).any() else 0.0
    test = config.test if not (own == SPLITS.index("test")).any() else 0.0
    train = SPLITS.index("train")
    divided = np.fromiter((_hashed(name, val, test) for name in _units(source)), np.uint8)
    return np.where(own == train, divided, own)


def own_splits(source: Source, *, val: float = 0.1) -> SplitConfig:
    """Return how a source is divided for training: by its own splits, if it has a train split.

    Its splits other than train and val count as test. If it has no val, the share `val` of its
    train is held out by hash; of few images a larger share, so that at least one is held out.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> [own_splits(read_rectangles("", seed=0, limit=images)).val for images in (4, 5)]
        [0.5, 0.1]
    """
    own = {split for split in source.splits if split is not None}
    mode: Literal["hash"] | dict[str, Literal["train", "val", "test"]] = "hash"
    if "train" in own:
        mode = dict.fromkeys(own, "test")
        mode |= {"train": "train", "val": "val"}
    configs = [SplitConfig(mode=mode, val=share, test=0.0) for share in (val, *_MORE)]
    both = (config for config in configs if len(set(_first_two(source, config))) == 2)
    return next(both, configs[0])


def _first_two(source: Source, config: SplitConfig) -> list[int]:
    """Return the train and val among the samples' splits."""
    return [split for split in assign_splits(source, config).tolist() if SPLITS[split] != "test"]


def require_splits(split: UInt8[np.ndarray, " n"], config: SplitConfig, *, root: str) -> None:
    """Raise ValueError for a split whose share is above 0 and that has no sample.

    Example:
        >>> config = SplitConfig(mode="hash", val=0.2, test=0.0)
        >>> require_splits(np.array([0, 1, 0], np.uint8), config, root="toy")  # nothing is missing
    """
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
