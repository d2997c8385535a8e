"""Layouts that public data sets have, as a table: files -> the pairs that are found."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskspace.data.dense import dense
from maskspace.data.readers.folder import read_folder
from maskspace.data.readers.folder_layout import ENDINGS, IMAGE_ENDINGS

MASK = np.zeros((12, 16), np.uint8)
MASK[2:9, 3:11] = 255

LAYOUTS = {
    "carvana": ("imgs/a.jpg", "masks/a_mask.gif"),
    "isic": ("images/a.jpg", "masks/a_segmentation.png"),
    "capitals": ("Images/a.jpg", "Masks/a.png"),
    "ppm": ("images/a.ppm", "masks/a.png"),
    "jfif": ("images/a.jfif", "masks/a.png"),
    "folder of masks": ("images/a.jpg", "masks/a/0.png"),
    "folder named as the image": ("images/a.jpg", "masks/a.jpg/0.png"),
    "file named as the image": ("images/a.jpg", "masks/a.jpg.png"),
    "composed and decomposed": ("images/\u00fc.jpg", "masks/u\u0308.png"),
    "decomposed and composed": ("images/u\u0308.jpg", "masks/\u00fc.png"),
    "nested": ("images/x/y/a.jpg", "masks/x/y/a.png"),
    "nested folder of masks": ("images/x/a.jpg", "masks/x/a/0.png"),
    "split": ("Validation/images/a.jpg", "Validation/masks/a.png"),
    "valid": ("valid/images/a.jpg", "valid/masks/a.png"),
    "flat": ("a.jpg", "a_mask.png"),
    "spaces, commas, percents": ("images/a b,c%20#?.jpg", "masks/a b,c%20#?.png"),
    **{f"ending {one}": ("images/a.jpg", f"masks/a{one}.png") for one in ENDINGS},
    **{f"{one} of images": (f"images/a{one}.png", "masks/a_mask.png") for one in IMAGE_ENDINGS},
    "drive": ("images/21_training.tif", "masks/21_manual1.gif"),
    "cityscapes": ("images/x/a_leftImg8bit.png", "masks/x/a_gtFine_labelIds.png"),
}


def put(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "JPEG" if path.suffix == ".jfif" else None
    Image.fromarray(pixels).save(path, kind)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layouts_of_public_sets_are_read_and_guesses_are_said(
    tmp_path: Path, layout: str
) -> None:
    image, mask = LAYOUTS[layout]
    put(tmp_path / image, np.zeros((12, 16, 3), np.uint8))
    put(tmp_path / mask, MASK)
    source = read_folder(str(tmp_path), seed=0, limit=None)
    (sample,) = source
    assert (dense(sample).masks == (MASK > 0)[None]).all()
    assert "binary masks" in source.notes[0]
    assert sample.split == ("val" if layout in ("split", "valid") else None)


def test_every_guess_can_be_overridden(tmp_path: Path) -> None:
    put(tmp_path / "pictures/a.jpg", np.zeros((12, 16, 3), np.uint8))
    put(tmp_path / "truth/a-odd.png", MASK // 255)
    options = {"images": "pictures", "labels": "truth", "mask_suffix": "-odd"}
    for kind, count in (("masks", 1), ("labels", 1)):
        (sample,) = read_folder(str(tmp_path), seed=0, limit=None, kind=kind, **options)
        assert len(sample.annotations) == count
    (all_of_it,) = read_folder(
        str(tmp_path), seed=0, limit=None, kind="labels", background=None, **options
    )
    assert len(all_of_it.annotations) == 2


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (("images/a.jpg", "images/a.png", "masks/a.png"), "a.jpg is of the same name"),
        (("images/a.jpg", "masks/a.png", "masks/a.gif"), "is of the same name"),
        (("images/a_test.png", "masks/a_mask.png", "masks/a_test_mask.png"), "of the same name"),
        (("images/a_test.png", "images/a_training.png", "masks/a_mask.png"), "no labels"),
        (("images/a.png", "images/a_test.png", "masks/a_mask.png"), "no labels"),
        (("images/a.jpg", "masks/a.png", "masks/b.png"), "labels without an image b"),
        (("images/a.jpg", "images/b.jpg", "masks/a_mask.png"), "b.jpg: no labels with the ending"),
        (("val/images/a.jpg", "valid/images/b.jpg", "val/masks/a.png"), "of the same split"),
        (("latest/images/a.jpg", "latest/masks/a.png"), "images: no such folder"),
    ],
)
def test_what_cannot_be_paired_is_told_with_the_files_names(
    tmp_path: Path, files: tuple[str, ...], told: str
) -> None:
    for name in files:
        put(tmp_path / name, MASK)
    with pytest.raises(ValueError, match=told) as error:
        read_folder(str(tmp_path), seed=0, limit=None)
    assert "\n" not in str(error.value)


def test_a_label_map_among_binary_masks_is_told(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(4, dtype=np.uint8), 4)[None].repeat(12, axis=0)
    put(tmp_path / "images/a.jpg", np.zeros((12, 16, 3), np.uint8))
    for values, told in ((labels, "kind=labels"), (labels * 85, "areas of 85")):
        put(tmp_path / "masks/a.png", values)
        with pytest.raises(ValueError, match=told):
            read_folder(str(tmp_path), seed=0, limit=None)[0]
    (sample,) = read_folder(str(tmp_path), seed=0, limit=None, kind="labels")
    assert len(sample.annotations) == 3
