import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from maskspace.data.dense import dense
from maskspace.data.readers.dsb2018 import read_dsb2018
from maskspace.data.readers.folder import read_folder

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)
LABELS = np.zeros((12, 16), np.uint8)
LABELS[1:5, 2:7], LABELS[4:9, 9:15], LABELS[10:], LABELS[0] = 1, 2, 7, 255
MASKS = np.stack([LABELS == 1, LABELS == 2, LABELS == 7, LABELS == 255])
OVERLAPPING = ndimage.binary_dilation(MASKS, np.ones((1, 5, 5), bool))


def only(root: Path, **options: object) -> np.ndarray:
    """The masks of the one image of a folder."""
    (sample,) = read_folder(str(root), seed=0, limit=None, **options)
    return dense(sample).masks


def test_it_reads_a_real_set_as_its_own_reader_does(assets: Path) -> None:
    root = str(assets / "dsb2018")
    own = read_dsb2018(root, seed=0, limit=None)
    folder = read_folder(root, seed=0, limit=None)
    assert sorted(folder.keys) == sorted(own.keys)
    for index in (0, 99, 300):
        other = own[own.keys.index(folder.keys[index])]
        assert folder[index].annotations == other.annotations
        assert folder[index].split == other.split and folder[index].image == other.image
    assert len(read_folder(root, seed=0, limit=None, split="val")) == 60


def test_a_mask_for_every_object_of_real_voc_labels(assets: Path) -> None:
    root = assets / "voc_format"
    source = read_folder(
        str(root),
        seed=0,
        limit=None,
        images="JPEGImages",
        labels="SegmentationObject",
        ignored=255,
    )
    assert len(source) == 3 and sum(len(sample.annotations) for sample in source) == 12
    for sample in source:
        labels = np.asarray(Image.open(root / f"SegmentationObject/{sample.key}.png"))
        arrays = dense(sample)
        objects = np.setdiff1d(labels, [0, 255])
        assert {mask.tobytes() for mask in arrays.masks} == {
            (labels == number).tobytes() for number in objects
        }
        assert (arrays.ignore == (labels == 255)).all()


def test_a_real_binary_mask_is_its_pixels(assets: Path) -> None:
    root = assets / "fine_masks"
    options = {"images": "im", "labels": "gt", "kind": "masks"}
    (path,) = (root / "gt").iterdir()
    assert (only(root, **options) == (np.asarray(Image.open(path)) > 127)[None]).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif", "A.PNG"])
def test_label_maps_of_every_format(tmp_path: Path, picture: Callable, name: str) -> None:
    picture(tmp_path / "images" / f"{Path(name).stem}.jpg", IMAGE)
    picture(tmp_path / "labels" / name, LABELS)
    assert (only(tmp_path) == MASKS).all()


def test_16_bit_and_coded_colours_are_label_maps(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    picture(tmp_path / "labels/a.png", LABELS.astype(np.uint16) * 257)
    assert (only(tmp_path) == MASKS).all()
    picture(tmp_path / "labels/a.png", np.dstack([LABELS * 0, LABELS, LABELS]))
    assert (only(tmp_path) == MASKS).all()


def test_background_and_ignored_are_options(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    picture(tmp_path / "labels/a.png", LABELS)
    (sample,) = read_folder(str(tmp_path), seed=0, limit=None, ignored=255)
    arrays = dense(sample)
    assert (arrays.masks == MASKS[:3]).all() and (arrays.ignore == MASKS[3]).all()
    every = only(tmp_path, background=None)
    assert (every == np.concatenate([(LABELS == 0)[None], MASKS])).all()
    assert (only(tmp_path, background=7) == np.delete(every, 3, axis=0)).all()
    with pytest.raises(ValueError, match="the same label"):
        read_folder(str(tmp_path), seed=0, limit=None, ignored=0)


def test_binary_masks_one_a_file_or_one_a_folder(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    picture(tmp_path / "masks/a.png", MASKS[1])
    assert (only(tmp_path) == MASKS[1:2]).all()
    (tmp_path / "masks/a.png").unlink()
    for number, mask in enumerate(OVERLAPPING):
        picture(tmp_path / f"masks/a/{10 * number}.png", mask)
    assert (only(tmp_path) == OVERLAPPING).all()


def test_an_ignored_value_in_a_binary_mask(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    picture(tmp_path / "masks/a.png", (MASKS[0] * 255 + MASKS[1] * 128).astype(np.uint8))
    (sample,) = read_folder(str(tmp_path), seed=0, limit=None, ignored=128)
    assert (dense(sample).masks == MASKS[:1]).all() and (dense(sample).ignore == MASKS[1]).all()


def test_a_jpeg_is_a_mask_but_no_label_map(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", np.zeros((32, 32, 3), np.uint8))
    square = np.zeros((32, 32), np.uint8)
    square[8:24, 8:16] = 255
    path = tmp_path / "masks/a.jpg"
    picture(path, square)
    assert (only(tmp_path) == (square > 0)[None]).all()
    with pytest.raises(ValueError, match=r"masks/a\.jpg: JPEG does not keep labels exactly"):
        only(tmp_path, kind="labels")


def npz(path: Path, **arrays: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def test_npz_holds_a_label_map_or_masks(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    for labels in (LABELS, LABELS.astype(">i8"), np.asfortranarray(LABELS.astype(np.uint32))):
        npz(tmp_path / "labels/a.npz", labels=labels)
        assert (only(tmp_path) == MASKS).all()
    npz(tmp_path / "labels/a.npz", masks=OVERLAPPING)
    assert (only(tmp_path) == OVERLAPPING).all()
    npz(tmp_path / "labels/a.npz", labels=np.where(LABELS == 255, -1, LABELS.astype(int)))
    (sample,) = read_folder(str(tmp_path), seed=0, limit=None, ignored=-1)
    assert (dense(sample).ignore == MASKS[3]).all()


def test_flat_with_a_suffix(tmp_path: Path, picture: Callable) -> None:
    for name in ("b10", "b9"):
        picture(tmp_path / f"{name}.jpg", IMAGE)
        picture(tmp_path / f"{name}_gt.png", LABELS)
    source = read_folder(str(tmp_path), seed=0, limit=None, suffix="_gt")
    assert source.keys == ("b9", "b10")
    assert (dense(source[0]).masks == MASKS).all()
    assert len(read_folder(str(tmp_path), seed=0, limit=1, suffix="_gt")) == 1


def test_unpaired_files_are_named(tmp_path: Path, picture: Callable) -> None:
    with pytest.raises(ValueError, match="images: no such folder; name it with the options"):
        only(tmp_path)
    picture(tmp_path / "images/a.png", IMAGE)
    with pytest.raises(ValueError, match="labels: no such folder"):
        only(tmp_path)
    picture(tmp_path / "labels/b.png", LABELS)
    with pytest.raises(ValueError, match=r"images/a\.png: no labels in .*labels; add them"):
        only(tmp_path)
    (tmp_path / "images/a.png").rename(tmp_path / "images/b.png")
    picture(tmp_path / "labels/c.png", LABELS)
    with pytest.raises(ValueError, match=r"labels/c\.png: labels without an image c"):
        only(tmp_path)
    (tmp_path / "labels/c.png").rename(tmp_path / "labels/b.tif")
    with pytest.raises(ValueError, match=r"labels/b\.tif: b\.png is of the same name"):
        only(tmp_path)
    with pytest.raises(ValueError, match="no folder val/images"):
        only(tmp_path, split="val")
    (tmp_path / "labels/b.tif").unlink()
    picture(tmp_path / "labels/b.png", LABELS[:-1])
    with pytest.raises(ValueError, match=r"labels/b\.png: is \(11, 16\), its image is \(12, 16\)"):
        only(tmp_path)


def test_an_empty_label_map_is_an_image_without_masks(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.png", IMAGE)
    picture(tmp_path / "labels/a.png", LABELS * 0)
    assert read_folder(str(tmp_path), seed=0, limit=None)[0].annotations == ()


def test_images_of_16_bits_and_floats_read_or_refuse(tmp_path: Path, picture: Callable) -> None:
    picture(tmp_path / "images/a.tiff", RNG.integers(0, 65536, (12, 16), dtype=np.uint16))
    picture(tmp_path / "labels/a.png", LABELS)
    (sample,) = read_folder(str(tmp_path), seed=0, limit=None)
    assert sample.extension == "tiff" and dense(sample).image.shape == (12, 16, 3)
    buffer = io.BytesIO()
    Image.fromarray(RNG.random((12, 16)).astype(np.float32)).save(buffer, "TIFF")
    (tmp_path / "labels/a.png").unlink()
    (tmp_path / "labels/a.tif").write_bytes(buffer.getvalue())
    with pytest.raises(ValueError, match=r"labels/a\.tif: holds floating point"):
        only(tmp_path)
