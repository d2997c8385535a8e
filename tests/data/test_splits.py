import numpy as np
import pytest

from maskspace.data.config import SplitConfig
from maskspace.data.source import PackedNames, Repeated, Source
from maskspace.data.splits import SPLITS, assign_splits, require_splits

HASH = SplitConfig(mode="hash", val=0.2, test=0.3)


def source(keys, splits=None, groups=None) -> Source:
    splits = Repeated(None, len(keys)) if splits is None else splits
    return Source(keys=keys, splits=splits, groups=groups, read=lambda index: None)  # type: ignore[arg-type, return-value]


def names(found: np.ndarray) -> list[str]:
    return [SPLITS[index] for index in found]


KEYS = [f"k{i}" for i in range(400)]


def test_shares_come_out_and_the_split_depends_on_the_key_alone() -> None:
    found = names(assign_splits(source(KEYS), HASH))
    assert found.count("test") / 400 == pytest.approx(0.3, abs=0.07)
    assert found.count("val") / 400 == pytest.approx(0.2, abs=0.07)
    assert names(assign_splits(source(KEYS[::-1]), HASH)) == found[::-1]
    assert names(assign_splits(source(PackedNames(KEYS[:9])), HASH)) == found[:9]


def test_no_group_falls_in_two_splits() -> None:
    groups = [f"scene{i % 40}" for i in range(400)]
    found = names(assign_splits(source(KEYS, groups=groups), HASH))
    assert found[:40] * 10 == found
    assert set(found) == set(SPLITS)


def test_a_source_of_a_single_group_is_divided_by_its_keys() -> None:
    one = source(KEYS, groups=["scene"] * 400)
    assert names(assign_splits(one, HASH)) == names(assign_splits(source(KEYS), HASH))


def test_a_source_with_splits_of_its_own_keeps_them() -> None:
    own = ["train", "val", "test", "train"] * 100
    config = SplitConfig(mode="source", val=0.3, test=0.3)
    assert names(assign_splits(source(KEYS, own), config)) == own


def test_what_a_source_lacks_is_taken_from_its_train() -> None:
    own = ["train", "train", "train", "test"] * 100
    config = SplitConfig(mode="source", val=0.5, test=0.4)
    found = names(assign_splits(source(KEYS, own), config))
    assert [f for f, o in zip(found, own, strict=True) if o == "test"] == ["test"] * 100
    rest = [f for f, o in zip(found, own, strict=True) if o == "train"]
    assert set(rest) == {"train", "val"}
    assert rest.count("val") / 300 == pytest.approx(0.5, abs=0.1)


def test_a_map_renames_the_splits_of_the_source() -> None:
    own = ["train", "val"] * 200
    config = SplitConfig(mode={"train": "train", "val": "test"}, val=0.1, test=0.0)
    found = names(assign_splits(source(KEYS, own), config))
    assert found[1::2] == ["test"] * 200
    assert set(found[::2]) == {"train", "val"}


def test_a_split_that_leads_nowhere_is_one_line() -> None:
    config = SplitConfig(mode="source", val=0.1, test=0.1)
    with pytest.raises(ValueError, match=r"k0: .*None leads to no split.*set split\.mode to hash"):
        assign_splits(source(KEYS), config)
    mapped = SplitConfig(mode={"train": "train"}, val=0.1, test=0.1)
    with pytest.raises(ValueError, match="'val' leads to no split; map it"):
        assign_splits(source(["a"], ["val"]), mapped)


def test_an_empty_split_is_refused_unless_its_share_is_0() -> None:
    found = assign_splits(source(KEYS[:2]), SplitConfig(mode="hash", val=0.0, test=0.0))
    require_splits(found, SplitConfig(mode="hash", val=0.0, test=0.0), root="r")
    with pytest.raises(ValueError, match="r: none of its 2 samples falls in the split val"):
        require_splits(found, HASH, root="r")
