import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.davis import read_davis
from maskspace.data.readers.davis_interactive import read_davis_interactive


def test_the_real_pairs_have_one_object_each_in_the_order_of_their_names(assets: Path) -> None:
    source = read_davis_interactive(str(assets / "davis_interactive"), seed=0, limit=None)
    assert source.keys == (
        "bmx-trees_00000",
        "car-shadow_00000",
        "car-shadow_00010",
        "car-shadow_00020",
        "car-shadow_00030",
    )
    assert set(source.splits) == {"test"} and source.groups is None
    for sample in source:
        arrays = dense(sample)
        assert len(arrays.masks) == 1 and not arrays.ignore.any()
        with Image.open(assets / "davis_interactive/gt" / f"{sample.key}.png") as mask:
            assert (arrays.masks[0] == (np.asarray(mask.convert("RGB")).max(axis=2) > 0)).all()


def test_they_are_the_frames_of_the_videos_with_all_objects_merged(assets: Path) -> None:
    frames = read_davis(str(assets / "davis/DAVIS"), seed=0, limit=None, objects="merged")
    by_key = {sample.key: sample for sample in frames}
    for sample in read_davis_interactive(str(assets / "davis_interactive"), seed=0, limit=None):
        frame = by_key[sample.key.replace("_", "-")]
        assert sample.annotations == frame.annotations


@pytest.mark.parametrize(
    ("pixels", "mode"),
    [
        ([[0, 1], [127, 255]], "L"),
        ([[0, 1], [1, 1]], "1"),
        ([[0, 1], [256, 65535]], "I;16"),
        ([[[0, 0, 0, 255], [0, 0, 1, 255]], [[9, 0, 0, 255], [255, 255, 255, 255]]], "RGBA"),
    ],
)
def test_whatever_is_not_black_is_the_object(tmp_path: Path, pixels: list, mode: str) -> None:
    for name in ("img", "gt"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "img/0.jpg")
    kinds = {"I;16": np.uint16, "1": bool}
    Image.fromarray(np.array(pixels, kinds.get(mode, np.uint8))).save(tmp_path / "gt/0.png")
    (mask,) = dense(read_davis_interactive(str(tmp_path), seed=0, limit=None)[0]).masks
    assert mask.tolist() == [[False, True], [True, True]]


def test_a_palette_is_looked_up(assets: Path, tmp_path: Path) -> None:
    for name in ("img", "gt"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (3, 1)).save(tmp_path / "img/0.jpg")
    mask = Image.fromarray(np.array([[0, 1, 2]], np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 0, 0])
    mask.save(tmp_path / "gt/0.png")
    (found,) = dense(read_davis_interactive(str(tmp_path), seed=0, limit=None)[0]).masks
    assert found.tolist() == [[False, True, False]]


def test_what_does_not_fit_is_one_line(assets: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no img/\*\.jpg in it"):
        read_davis_interactive(str(tmp_path), seed=0, limit=None)
    with pytest.raises(ValueError, match="split 'train' is unknown; choose one of test"):
        read_davis_interactive(str(tmp_path), seed=0, limit=None, split="train")
    root = shutil.copytree(assets / "davis_interactive", tmp_path / "copy")
    for path in (root, *root.rglob("*")):
        path.chmod(0o755)
    (root / "gt/bmx-trees_00000.png").write_bytes(b"none")
    with pytest.raises(ValueError, match=r"bmx-trees_00000\.png: cannot be read as an image"):
        read_davis_interactive(str(root), seed=0, limit=None)[0]
    (root / "gt/bmx-trees_00000.png").unlink()
    with pytest.raises(ValueError, match=r"bmx-trees_00000\.jpg: no mask .*fetch"):
        read_davis_interactive(str(root), seed=0, limit=None)
