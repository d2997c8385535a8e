from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.sav import read_sav


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two videos; the second has two objects of which one lies in the other and leaves."""
    large, small = np.zeros((2, 8, 10), np.uint8)
    large[1:7, 1:9], small[2:5, 2:5] = 255, 1
    for video, frame, images in (
        ("sav_b", 0, (large, small)),
        ("sav_b", 4, (large, 0 * small)),
        ("sav_a", 12, (large,)),
    ):
        frames = tmp_path / "JPEGImages_24fps" / video
        frames.mkdir(parents=True, exist_ok=True)
        for number in (frame, frame + 1):
            Image.new("RGB", (10, 8)).save(frames / f"{number:05d}.jpg")
        for number, mask in enumerate(images):
            path = tmp_path / "Annotations_6fps" / video / f"{number:03d}" / f"{frame:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(path)
    (tmp_path / "sav_val.txt").write_text("sav_a\nsav_b\n")
    return tmp_path


def test_annotated_frames_have_the_masks_of_all_objects(root: Path) -> None:
    source = read_sav(str(root), seed=0, limit=None)
    assert source.keys == ("sav_a-00012", "sav_b-00000", "sav_b-00004")
    assert source.groups == ("sav_a", "sav_b", "sav_b") and set(source.splits) == {"val"}
    assert [[a.area for a in sample.annotations] for sample in source] == [[48], [48, 9], [48]]
    assert [a.parent for a in source[1].annotations] == [None, 1]
    assert dense(source[1]).masks[1, 2:5, 2:5].all()
    assert source[1].source == "JPEGImages_24fps/sav_b/00000.jpg"
    assert read_sav(str(root), seed=0, limit=1, split="val").keys == source.keys[:1]


def test_what_does_not_fit_is_one_line(root: Path) -> None:
    with pytest.raises(ValueError, match=r"no sav_test\.txt, so it is not SA-V's test"):
        read_sav(str(root), seed=0, limit=None, split="test")
    path = root / "Annotations_6fps/sav_a/000/00012.png"
    Image.new("L", (3, 3)).save(path)
    with pytest.raises(ValueError, match=r"00012\.png: is \(3, 3\), its image is \(8, 10\)"):
        read_sav(str(root), seed=0, limit=None)[0]
    (root / "JPEGImages_24fps/sav_a/00012.jpg").unlink()
    with pytest.raises(ValueError, match=r"sav_a/00012\.jpg: no such file"):
        read_sav(str(root), seed=0, limit=None)[0]
    for one in sorted((root / "Annotations_6fps").rglob("*.png")):
        one.unlink()
    with pytest.raises(ValueError, match="no Annotations_6fps/VIDEO/OBJECT"):
        read_sav(str(root), seed=0, limit=None)
