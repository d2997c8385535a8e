import numpy as np
import pytest

from maskspace.data.dense import Dense, dense
from maskspace.data.readers.scenes import SMALLEST, read_scenes

SCENES = [dense(sample) for sample in read_scenes("", seed=0, limit=20)]


def depth(sample: Dense, mask_id: int) -> int:
    parent = int(sample.parents[mask_id - 1])
    return 1 + (depth(sample, parent) if parent else 0)


def test_there_are_objects_with_parts_and_sub_parts() -> None:
    depths = [[depth(sample, int(i)) for i in sample.ids] for sample in SCENES]
    assert {level for levels in depths for level in levels} == {1, 2, 3}
    assert all(levels.count(1) >= 2 for levels in depths)


def test_masks_nest_exactly_or_are_disjoint() -> None:
    for sample in SCENES:
        flat = sample.masks.reshape(len(sample.masks), -1).astype(int)
        shared, area = flat @ flat.T, flat.sum(axis=1)
        assert ((shared == 0) | (shared == np.minimum(area[:, None], area[None]))).all()
        assert area.min() >= SMALLEST


def test_each_level_is_painted_so_that_it_can_be_seen() -> None:
    for sample in SCENES:
        for mask, parent in zip(sample.masks, sample.parents, strict=True):
            if parent:
                rest = sample.masks[parent - 1].copy()
                rest[sample.masks[sample.parents == parent].any(axis=0)] = False
                if rest.sum() > 20:
                    difference = sample.image[mask].mean(axis=0) - sample.image[rest].mean(axis=0)
                    assert np.linalg.norm(difference) > 12


def test_values_outside_their_ranges_are_refused() -> None:
    with pytest.raises(ValueError, match="scenes"):
        read_scenes("", seed=0, limit=1, objects=(3, 2))
