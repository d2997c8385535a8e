import json
import pickle
from dataclasses import replace

import pytest

from maskspace.config import build_section
from maskspace.data import READERS
from maskspace.data.categories import joint_classes
from maskspace.data.config import ShardsConfig
from maskspace.data.open_shards import open_shards
from maskspace.data.shards import write_dataset
from maskspace.types import Category

PERSON, CAR = Category(id=1, name="person"), Category(id=2, name="car")


def test_classes_of_one_dataset_are_its_table_in_order():
    found = joint_classes({"a": (CAR, PERSON)})
    assert [one.name for one in found.table] == ["car", "person"]
    assert found.table == (CAR, PERSON)
    assert found.index == {"a": {2: 0, 1: 1}}


def test_ids_that_two_datasets_share_are_numbered_anew():
    found = joint_classes({"a": (PERSON, CAR), "b": (Category(id=1, name="tree"),)})
    assert [(one.id, one.name) for one in found.table] == [(1, "person"), (2, "car"), (3, "tree")]
    assert found.index == {"a": {1: 0, 2: 1}, "b": {1: 2}}


def test_datasets_without_categories_have_no_class():
    found = joint_classes({"a": (), "b": (CAR,)})
    assert found.index == {"b": {2: 0}}


def test_a_name_that_is_a_thing_and_stuff_is_told():
    with pytest.raises(ValueError, match="b: car is stuff, another dataset says the other"):
        joint_classes({"a": (CAR,), "b": (Category(id=9, name="car", is_thing=False),)})


def read_named(root, *, seed, limit):
    """Rectangles, each of the category of its number."""
    source = READERS["rectangles"](root, seed=seed, limit=limit)
    first = source[0]
    named = replace(
        first, annotations=tuple(replace(a, category=1 + a.id % 2) for a in first.annotations)
    )
    return replace(source, read=lambda index: named, keys=(first.key,), categories=(PERSON, CAR))


def test_shards_hold_the_table_and_the_category_of_every_mask(tmp_path):
    value = {
        "reader": {"name": "named", "options": {}},
        "root": "",
        "seed": 0,
        "limit": 1,
        "split": {"mode": "hash", "val": 0.0, "test": 0.0},
        "split_components": True,
        "min_component_area": 1,
        "containment": 0.9,
        "samples_per_shard": 7,
        "repack": True,
        "store": ".",
    }
    config = build_section(ShardsConfig, value, place="x")
    path = write_dataset(tmp_path / "named", "named", config, {"named": read_named})
    shards = open_shards(tmp_path / "named", "train")
    assert shards.categories == (PERSON, CAR)
    assert pickle.loads(pickle.dumps(shards)).categories == (PERSON, CAR)
    assert {one.category for one in shards[0].annotations} == {1, 2}
    # shards of before there were categories say nothing of them
    manifest = json.loads(path.read_text())
    del manifest["categories"]
    path.write_text(json.dumps(manifest))
    assert open_shards(tmp_path / "named", "train").categories == ()
