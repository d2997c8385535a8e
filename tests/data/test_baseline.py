from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.baseline import (
    BASELINE,
    best_component_iou,
    components_score,
    equal_colour_components,
    write_baseline,
)
from maskspace.data.config import ShardsConfig
from maskspace.data.dense import dense
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.data.shards import read_manifest, write_dataset


def test_components_equal_those_found_colour_by_colour() -> None:
    image = np.random.default_rng(0).integers(0, 2, (12, 15, 3), dtype=np.uint8) * 200
    found = equal_colour_components(image)
    expected = 0
    for colour in np.unique(image.reshape(-1, 3), axis=0):
        labels, number = ndimage.label((image == colour).all(axis=2))
        expected += number
        for value in range(1, number + 1):
            assert len(np.unique(found[labels == value])) == 1
    assert found.max() + 1 == expected


def test_best_iou_equals_brute_force() -> None:
    sample = dense(read_rectangles("", seed=0, limit=1, noise=1.0, size_hw=(24, 24))[0])
    components = equal_colour_components(sample.image)
    best = best_component_iou(sample, components)
    for mask, value in zip(sample.masks, best, strict=True):
        regions = (components == label for label in np.unique(components))
        assert value == max((mask & r).sum() / (mask | r).sum() for r in regions)


def test_the_manifest_of_plain_rectangles_says_1(tmp_path: Path) -> None:
    value = {
        "reader": {"name": "rectangles", "options": {"size_hw": [32, 32]}},
        "root": "",
        "seed": 0,
        "limit": 20,
        "split": {"mode": "hash", "val": 0.2, "test": 0.2},
        "split_components": True,
        "min_component_area": 1,
        "containment": 0.95,
        "samples_per_shard": 20,
        "repack": True,
        "store": ".",
    }
    config = build_section(ShardsConfig, value, place="x")
    write_dataset(tmp_path, "rectangles", config, READERS)
    assert write_baseline(tmp_path) == read_manifest(tmp_path)[BASELINE] == 1.0


def test_no_masks_are_no_baseline() -> None:
    with pytest.raises(ValueError, match="no sample has a mask"):
        components_score([])
