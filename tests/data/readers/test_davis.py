from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.davis import object_ids, read_davis


def test_every_annotated_frame_of_the_real_videos_and_no_other_is_there(assets: Path) -> None:
    source = read_davis(str(assets / "davis/DAVIS"), seed=0, limit=None)
    cars = [f"car-shadow-{number:05d}" for number in range(0, 40, 2)]
    assert source.keys == ("bmx-trees-00000", *cars)
    assert source.groups == ("bmx-trees", *["car-shadow"] * 20)
    assert source.splits == (None,) * 21


def test_palette_indices_are_objects_and_255_of_a_grey_mask_is_one(assets: Path) -> None:
    root = assets / "davis/DAVIS"
    bmx, car = read_davis(str(root), seed=0, limit=2)
    with Image.open(root / "Annotations/480p/bmx-trees/00000.png") as mask:
        labels = np.asarray(mask)
    arrays = dense(bmx)
    assert len(arrays.masks) == 2
    assert all((arrays.masks[number - 1] == (labels == number)).all() for number in (1, 2))
    with Image.open(root / "Annotations/480p/car-shadow/00000.png") as mask:
        assert (dense(car).masks == (np.asarray(mask) == 255)[None]).all()
    merged = read_davis(str(root), seed=0, limit=1, objects="merged")[0]
    assert (dense(merged).masks == (labels > 0)[None]).all()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sequences a to d of one or two frames; a and b are of 2016, a, b and c of 2017."""
    labels = np.zeros((6, 8), np.uint8)
    labels[1:3, 1:4], labels[3:5, 2:6], labels[5] = 1, 3, 255
    for sequence in "dcba":
        image, mask = (
            tmp_path / kind / "480p" / sequence for kind in ("JPEGImages", "Annotations")
        )
        for folder in (image, mask):
            folder.mkdir(parents=True)
        for frame in ("00001", "00000"):
            Image.new("RGB", (8, 6)).save(image / f"{frame}.jpg")
        coded = Image.fromarray(labels, mode="P")
        coded.putpalette([min(255, 7 * index) for index in range(768)])
        coded.save(mask / "00000.png")
    for place, names in (
        ("2016/train", "a\n"),
        ("2016/val", "b"),
        ("2017/train", "a\nb\n\n"),
        ("2017/val", "c\r\n"),
    ):
        path = tmp_path / "ImageSets" / f"{place}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(names)
    return tmp_path


def test_splits_are_those_of_the_lists(tree: Path) -> None:
    def splits(**options: str) -> dict[str, str | None]:
        source = read_davis(str(tree), seed=0, limit=None, **options)  # type: ignore[arg-type]
        return dict(zip(source.groups or (), source.splits, strict=True))

    assert splits() == {"a": "train", "b": "train", "c": "val", "d": None}
    assert splits(year="2016") == {"a": "train", "b": "val"}
    assert splits(year="2017", split="val") == {"c": "val"}
    assert read_davis(str(tree), seed=0, limit=None)[2].split == "val"


def test_the_lists_of_frames_of_the_archive_of_2016_are_read_too(tree: Path) -> None:
    (tree / "ImageSets/480p").mkdir()
    for split, sequence in (("train", "c"), ("val", "d")):
        (tree / f"ImageSets/2016/{split}.txt").unlink()
        (tree / f"ImageSets/480p/{split}.txt").write_text(
            f"/JPEGImages/480p/{sequence}/00000.jpg /Annotations/480p/{sequence}/00000.png \n" * 2
        )
    source = read_davis(str(tree), seed=0, limit=None, year="2016")
    assert (source.groups, source.splits) == (("c", "d"), ("train", "val"))


def test_void_pixels_are_to_be_ignored(tree: Path) -> None:
    for objects, count in (("apart", 2), ("merged", 1)):
        sample = read_davis(str(tree), seed=0, limit=1, objects=objects)[0]  # type: ignore[arg-type]
        arrays = dense(sample)
        assert len(arrays.masks) == count and arrays.masks.sum() == 14
        assert arrays.ignore[5].all() and arrays.ignore.sum() == 8


def test_a_grey_mask_stored_in_three_channels_is_the_same(tmp_path: Path) -> None:
    grey = np.array([[0, 255], [255, 0]], np.uint8)
    Image.fromarray(np.repeat(grey[..., None], 3, axis=2)).save(tmp_path / "x.png")
    labels = object_ids((tmp_path / "x.png").read_bytes(), name="x", size_hw=(2, 2))
    assert labels.tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize(
    ("grey", "objects"),
    [
        ([[0, 100], [160, 255]], [[0, 0], [255, 255]]),
        ([[0, 1], [2, 254]], [[0, 1], [2, 254]]),
        ([[0, 0], [0, 0]], [[0, 0], [0, 0]]),
    ],
)
def test_a_grey_mask_with_soft_edges_is_one_object_and_a_dark_one_codes_ids(
    tmp_path: Path, grey: list, objects: list
) -> None:
    Image.fromarray(np.array(grey, np.uint8)).save(tmp_path / "x.png")
    labels = object_ids((tmp_path / "x.png").read_bytes(), name="x", size_hw=(2, 2))
    assert labels.tolist() == objects


def test_a_frame_without_its_objects_is_a_sample_without_masks(tree: Path) -> None:
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(tree / "Annotations/480p/a/00000.png")
    assert read_davis(str(tree), seed=0, limit=1)[0].annotations == ()


def test_another_resolution_is_another_folder(tree: Path) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (tree / kind / "480p").rename(tree / kind / "Full-Resolution")
    assert len(read_davis(str(tree), seed=0, limit=None, resolution="Full-Resolution")) == 4
    with pytest.raises(ValueError, match=r"no Annotations/480p/\*/\*\.png in it"):
        read_davis(str(tree), seed=0, limit=None)


def test_what_does_not_fit_is_one_line(tree: Path) -> None:
    with pytest.raises(ValueError, match="split 'test' is unknown"):
        read_davis(str(tree), seed=0, limit=None, split="test")
    mask = tree / "Annotations/480p/b/00000.png"
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(mask)
    with pytest.raises(ValueError, match=r"b/00000\.png: is \(3, 3\), its image is \(6, 8\)"):
        read_davis(str(tree), seed=0, limit=None)[1]
    mask.unlink()
    with pytest.raises(ValueError, match="1 listed sequences have no annotated frame, first 'b'"):
        read_davis(str(tree), seed=0, limit=None, year="2017")
    (tree / "JPEGImages/480p/c/00000.jpg").unlink()
    with pytest.raises(ValueError, match=r"c/00000\.png: no JPEGImages/480p/c/00000\.jpg for it"):
        read_davis(str(tree), seed=0, limit=None)
    (tree / "ImageSets/2016/val.txt").unlink()
    (tree / "JPEGImages/480p/c/00000.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2016/val\.txt: no such list"):
        read_davis(str(tree), seed=0, limit=None, year="2016")
