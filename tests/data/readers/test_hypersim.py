import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from maskspace.data.config import SplitConfig
from maskspace.data.dense import dense
from maskspace.data.readers.hypersim import read_entities, read_hypersim
from maskspace.data.splits import assign_splits
from samples.make_samples import write_entities


def test_real_frames_give_a_mask_for_every_entity(assets: Path) -> None:
    source = read_hypersim(str(assets / "hypersim"), seed=0, limit=None)
    assert source.keys == ("ai_001_001-cam_00-0000",)
    assert source.splits == ("train",) and source.groups == ("ai_001_001",)
    arrays = dense(source[0])
    folder = assets / "hypersim/ai_001_001/images/scene_cam_00_geometry_hdf5"
    with h5py.File(folder / "frame.0000.render_entity_id.hdf5") as file:
        ids = np.asarray(file["dataset"])
    assert len(arrays.masks) == len(np.unique(ids[ids > 0]))
    assert (arrays.masks.sum(axis=0) == (ids > 0)).all()


def test_instances_that_people_named_are_an_option(assets: Path) -> None:
    root = str(assets / "hypersim")
    arrays = dense(read_hypersim(root, seed=0, limit=None, ids="semantic_instance")[0])
    folder = assets / "hypersim/ai_001_001/images/scene_cam_00_geometry_hdf5"
    with h5py.File(folder / "frame.0000.semantic_instance.hdf5") as file:
        ids = np.asarray(file["dataset"])
    assert len(arrays.masks) == len(np.unique(ids[ids > 0]))
    assert (arrays.masks.sum(axis=0) == (ids > 0)).all()
    tonemap = read_hypersim(root, seed=0, limit=None, preview="tonemap")
    assert tonemap[0].source.endswith("frame.0000.tonemap.jpg")


SPLIT_TEXT = """scene_name,camera_name,frame_id,exclude_reason,split_partition_name
ai_001_001,cam_00,0,,val
ai_001_001,cam_00,1,no,
"""


def test_the_split_file_may_lie_elsewhere(raw: Path, tmp_path: Path) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(SPLIT_TEXT)
    root = str(raw / "hypersim")
    source = read_hypersim(root, seed=0, limit=None, split_file=str(path))
    assert source.keys == ("ai_001_001-cam_00-0000",) and source.splits == ("val",)
    assert source[0].split == "val"
    for split, number in (("val", 1), ("train", 0)):
        source = read_hypersim(root, seed=0, limit=None, split_file=str(path), split=split)
        assert len(source) == number
    for text, message in (
        ("a,b\n", "has no columns scene_name"),
        (SPLIT_TEXT.replace("cam_00,1", "cam_00,-1"), "line 3 is no frame"),
        (SPLIT_TEXT.replace("val", "dev"), "line 2 is no frame"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=rf"splits\.csv: {message}"):
            read_hypersim(root, seed=0, limit=None, split_file=str(path))
    with pytest.raises(ValueError, match=r"none\.csv: no such file"):
        read_hypersim(root, seed=0, limit=None, split_file=str(tmp_path / "none.csv"))
    with pytest.raises(ValueError, match="so no split val; fetch it"):
        read_hypersim(root, seed=0, limit=None, split="val")


def test_frames_of_a_scene_fall_in_one_split_unless_it_is_the_only_one(
    raw: Path, tmp_path: Path
) -> None:
    for number in range(1, 13):
        shutil.copytree(raw / "hypersim/ai_001_001", tmp_path / f"ai_001_{number:03d}")
    halves = SplitConfig(mode="hash", val=0.3, test=0.3)
    source = read_hypersim(str(tmp_path), seed=0, limit=None)
    splits = assign_splits(source, halves)
    assert (splits[::2] == splits[1::2]).all() and len(set(splits.tolist())) > 1
    one = read_hypersim(str(raw / "hypersim"), seed=0, limit=None)
    assert one.groups == ("ai_001_001",) * 2


def test_masks_are_disjoint_and_leave_the_window_out(raw: Path) -> None:
    source = read_hypersim(str(raw / "hypersim"), seed=0, limit=None)
    assert source.splits == (None, None)
    assert all(dense(sample).masks.sum(axis=0).max() == 1 for sample in source)


def test_entities_round_trip(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(-1, 300, (12, 17))
    write_entities(tmp_path / "x.hdf5", ids)
    assert (read_entities(tmp_path / "x.hdf5", (12, 17)) == np.maximum(ids, 0)).all()


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("dataset", np.zeros((4, 4), np.float16), "holds float16"),
        ("dataset", np.zeros((4, 5), np.int16), r"is \(4, 5\), its preview is \(4, 4\)"),
        ("dataset", np.full((4, 4), -7, np.int16), "entity id -7"),
        ("other", np.zeros((4, 4), np.int16), "no dataset named"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, name: str, array: np.ndarray, message: str
) -> None:
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        file[name] = array
    with pytest.raises(ValueError, match=message):
        read_entities(path, (4, 4))


def test_a_file_that_is_none_or_missing_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.hdf5").write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match="not a readable HDF5"):
        read_entities(tmp_path / "x.hdf5", (4, 4))
    with pytest.raises(ValueError, match="missing beside its preview"):
        read_entities(tmp_path / "none.hdf5", (4, 4))
    with pytest.raises(ValueError, match="correct the root"):
        read_hypersim(str(tmp_path), seed=0, limit=None)


def test_an_entity_is_of_the_class_that_most_of_its_pixels_have(raw: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(raw / "hypersim", root)
    for path in sorted(root.glob("ai_*/images/*_geometry_hdf5/*.render_entity_id.hdf5")):
        with h5py.File(path) as file:
            ids = np.asarray(file["dataset"])
        semantic = np.where(ids > 0, ids % 40 + 1, -1).astype(np.int16)
        semantic[0] = -1
        write_entities(path.with_name(path.name.replace("render_entity_id", "semantic")), semantic)
    source = read_hypersim(str(root), seed=0, limit=1, categories=True)
    assert [one.id for one in source.categories] == list(range(1, 41))
    arrays, sample = dense(source[0]), source[0]
    path = min(root.glob("ai_*/images/*_geometry_hdf5/*.semantic.hdf5"))
    classes = read_entities(path, sample.size_hw)
    for mask, category in zip(arrays.masks, arrays.categories, strict=True):
        counts = np.bincount(classes[mask], minlength=41)
        assert category == (counts.argmax() if counts.argmax() else -1)
    classed = dense(read_hypersim(str(root), seed=0, limit=1, ids="semantic")[0])
    assert sorted(classed.categories) == sorted(np.unique(classes[classes > 0]))
    plain = dense(read_hypersim(str(root), seed=0, limit=1)[0])
    assert (plain.categories == -1).all()
