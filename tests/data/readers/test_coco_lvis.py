import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from maskspace.data.annotations import annotate
from maskspace.data.dense import dense
from maskspace.data.readers.coco_lvis import check_tree, read_coco_lvis
from maskspace.data.readers.mask_layers import encode_layers
from maskspace.masks import encode


@pytest.fixture
def root(trees: Path, tmp_path: Path) -> Path:
    """A copy of the published layout that may be broken."""
    return shutil.copytree(trees / "coco_lvis", tmp_path / "copy")


def test_samples_come_by_split_and_id(trees: Path) -> None:
    source = read_coco_lvis(str(trees / "coco_lvis"), seed=0, limit=None)
    assert source.keys == ("000000000009", "000000000025", "000000000030", "000000000001")
    assert source.splits == ("train", "train", "train", "val")
    assert source[1].source == "train/images/000000000025.jpg"
    val = read_coco_lvis(str(trees / "coco_lvis"), seed=0, limit=None, split="val")
    assert list(val) == [source[3]]


def test_masks_and_parents_are_those_that_were_written(trees: Path) -> None:
    folder = trees / "coco_lvis/train"
    index = pickle.loads((folder / "hannotation.pickle").read_bytes())
    for sample in read_coco_lvis(str(trees / "coco_lvis"), seed=0, limit=3):
        arrays, nodes = dense(sample), index[sample.key]
        assert len(arrays.masks) == nodes["num_instance_masks"]
        said = [node and node["parent"] for node in nodes["hierarchy"].values()]
        assert [p - 1 if p else None for p in arrays.parents.tolist()] == said
        assert any(parent is not None for parent in said)
        # nested scenes are what they were drawn as: an independent path to the same annotations
        assert sample.annotations == annotate(arrays.masks)


def test_stuff_follows_the_instances_without_a_parent(trees: Path) -> None:
    root = str(trees / "coco_lvis")
    without, stuff = (
        read_coco_lvis(root, seed=0, limit=1, stuff=with_)[0] for with_ in (False, True)
    )
    assert stuff.annotations[:-1] == without.annotations
    assert stuff.annotations[-1].parent is None
    assert dense(stuff).masks[:-1].any(axis=0).sum() + stuff.annotations[-1].area == 64 * 96


def test_parents_may_be_found_from_the_masks(root: Path) -> None:
    path = root / "train/hannotation.pickle"
    index = pickle.loads(path.read_bytes())
    for one in index.values():
        one["hierarchy"] = dict.fromkeys(one["hierarchy"])
    path.write_bytes(pickle.dumps(index))
    flat = read_coco_lvis(str(root), seed=0, limit=1)[0]
    assert {a.parent for a in flat.annotations} == {None}
    found = read_coco_lvis(str(root), seed=0, limit=1, nesting="masks")[0]
    assert found.annotations == annotate(dense(flat).masks)


def test_layers_may_be_bytes_and_columns(root: Path) -> None:
    path = root / "train/masks/000000000009.pickle"
    before = read_coco_lvis(str(root), seed=0, limit=1)[0]
    layers, mapping = pickle.loads(path.read_bytes())
    for kind in (bytes, lambda layer: layer.reshape(-1, 1)):
        path.write_bytes(pickle.dumps(([kind(layer) for layer in layers], mapping)))
        assert read_coco_lvis(str(root), seed=0, limit=1)[0] == before


class Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.mark}",)


def test_code_in_either_pickle_is_refused_and_never_runs(root: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    masks = root / "train/masks/000000000009.pickle"
    masks.write_bytes(pickle.dumps(([Runs(mark)], [(0, 1)])))
    with pytest.raises(ValueError, match=r"000000000009\.pickle: it names .*do not trust this"):
        read_coco_lvis(str(root), seed=0, limit=1)[0]
    index = root / "train/hannotation.pickle"
    index.write_bytes(pickle.dumps({"000000000009": Runs(mark)}))
    with pytest.raises(ValueError, match=r"hannotation\.pickle: it names .*do not trust this"):
        read_coco_lvis(str(root), seed=0, limit=1)
    assert not mark.exists()


def node(**changes: object) -> dict:
    return {"num_instance_masks": 1, "hierarchy": {0: None}} | changes


INDEX = {
    "is no dictionary of image ids": [1],
    "is no dictionary of image ids; check": {1: node()},
    "no image train/images/x.jpg": {"x": node()},
    "000000000009: has no num_instance_masks": {"000000000009": node(num_instance_masks="1")},
    "has no num_instance_masks and hierarchy": {"000000000009": node(hierarchy=[None])},
    "its hierarchy is not of 2 masks": {"000000000009": node(num_instance_masks=2)},
    "a mask has the parent 7 of 1 masks": {"000000000009": node(hierarchy={0: {"parent": 7}})},
    "a mask has the parent True of 1": {"000000000009": node(hierarchy={0: {"parent": True}})},
    "a mask has the parent -1": {"000000000009": node(hierarchy={0: "root"})},
    "mask 0 is its own ancestor": {"000000000009": node(hierarchy={0: {"parent": 0}})},
}


@pytest.mark.parametrize("message", INDEX)
def test_an_index_that_is_none_is_one_line(root: Path, message: str) -> None:
    (root / "train/hannotation.pickle").write_bytes(pickle.dumps(INDEX[message]))
    with pytest.raises(ValueError, match=rf"hannotation\.pickle: .*{message}") as told:
        read_coco_lvis(str(root), seed=0, limit=None)
    assert "\n" not in str(told.value)


def test_no_chain_of_parents_is_too_long_and_every_circle_is_found() -> None:
    check_tree((None, *range(100_000)), place="x")
    for circle in ((1, 2, 0), (None, 2, 3, 2), (1, 0)):
        with pytest.raises(ValueError, match=r"x: mask \d is its own ancestor"):
            check_tree(circle, place="x")


def masks_of(number: int, size: tuple[int, int] = (64, 96)) -> tuple[list[bytes], list]:
    masks = np.zeros((number, *size), bool)
    for index, mask in enumerate(masks):
        mask[index : index + 9] = True
    return encode_layers(masks)


MASKS = {
    "is not a pair of layers and of places": [1, 2, 3],
    "is not a pair of layers and of places in them": ("layers", "places"),
    "holds 1 masks, hannotation says": masks_of(1),
    r"layer 0: is \(9, 9\), its image is \(64, 96\)": masks_of(9, (9, 9)),
    "layer 0: cannot be read as an image": ([b"none"] * 9, [(0, 1)] * 9),
    "a layer is a ndarray, not the bytes": ([np.zeros(3)], []),
    "a layer is a str, not the bytes of a PNG": (["none"], []),
    "mask 0: is in layer 9 of": (masks_of(9)[0], [(9, 1)] * 9),
    "mask 0: layer 0 has no pixel of value 200": (masks_of(9)[0], [(0, 200)] * 9),
    "the place of a mask is .0, 1, 2., not": (masks_of(9)[0], [(0, 1, 2)]),
    "the place of a mask is .None, 1.": (masks_of(9)[0], [(None, 1)]),
}


@pytest.mark.parametrize("message", MASKS)
def test_a_mask_file_that_is_none_is_one_line(root: Path, message: str) -> None:
    path = root / "train/masks/000000000009.pickle"
    path.write_bytes(pickle.dumps(MASKS[message]))
    with pytest.raises(ValueError, match=rf"000000000009\.pickle: .*{message}") as told:
        read_coco_lvis(str(root), seed=0, limit=1)[0]
    assert "\n" not in str(told.value)


def test_files_above_a_limit_or_not_there_are_one_line(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"009\.pickle: .* bytes; the limit is 99 bytes"):
        read_coco_lvis(str(root), seed=0, limit=1, max_pickle_bytes=99)[0]
    (root / "train/masks/000000000009.pickle").unlink()
    with pytest.raises(ValueError, match=r"009\.pickle: no such file"):
        read_coco_lvis(str(root), seed=0, limit=1)[0]
    with pytest.raises(ValueError, match=r"no train\|val/hannotation\.pickle"):
        read_coco_lvis(str(tmp_path), seed=0, limit=None)
    with pytest.raises(ValueError, match="split 'test' is unknown"):
        read_coco_lvis(str(root), seed=0, limit=None, split="test")


def test_masks_that_are_equal_are_kept_as_the_hierarchy_counts_them(root: Path) -> None:
    masks = np.ones((2, 64, 96), bool)
    path = root / "train/masks/000000000009.pickle"
    path.write_bytes(pickle.dumps(encode_layers(masks)))
    index = {"000000000009": node(num_instance_masks=2, hierarchy={0: {"parent": 1}, 1: None})}
    (root / "train/hannotation.pickle").write_bytes(pickle.dumps(index))
    sample = read_coco_lvis(str(root), seed=0, limit=1)[0]
    assert [(a.counts, a.parent) for a in sample.annotations] == [
        (encode(masks)[0], 2),
        (encode(masks)[0], None),
    ]
