import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.io import savemat

from maskspace.masks import split_components
from maskspace.peers.gpb_owt_ucm import contour_tree, gpb_owt_ucm, read_ucm2
from maskspace.segmenter.loading import load
from maskspace.types import read_rgb


@pytest.fixture(scope="module")
def folders(assets) -> tuple[Path, Path]:
    ucm, photos = assets / "bsds500_ucm2" / "val", assets / "bsds500" / "val" / "images"
    if not ucm.is_dir():
        pytest.skip(f"no contour maps at {ucm}")
    return ucm, photos


@pytest.fixture
def pair(folders, tmp_path) -> tuple[Path, Path, str]:
    """Return folders of our own with one map and its photo, to be spoilt."""
    stem = sorted(folders[0].glob("*.mat"))[0].stem
    ucm, photos = tmp_path / "ucm2", tmp_path / "photos"
    ucm.mkdir()
    photos.mkdir()
    shutil.copy(folders[0] / f"{stem}.mat", ucm / f"{stem}.mat")
    shutil.copy(folders[1] / f"{stem}.jpg", photos / f"{stem}.jpg")
    (ucm / f"{stem}.mat").chmod(0o644)
    return ucm, photos, stem


def test_every_published_file_is_read(folders):
    paths = sorted(folders[0].glob("*.mat"))
    assert len(paths) == 100
    for path in paths[::9]:
        tree = contour_tree(read_ucm2(path), place=path.name)
        assert sorted(tree.size_hw) == [321, 481]
        assert tree.max_regions > 50


def test_a_cut_is_the_benchmarks_partition_at_that_threshold(folders):
    for path in sorted(folders[0].glob("*.mat"))[:3]:
        ucm2 = read_ucm2(path)
        tree = contour_tree(ucm2, place=path.name)
        for threshold in (0.02, 0.1, 0.35, 0.8):
            pieces, _ = ndimage.label(ucm2 <= threshold, structure=np.ones((3, 3)))
            expected = split_components(pieces[1::2, 1::2])
            np.testing.assert_array_equal(tree.cut(threshold), expected)


def test_a_photo_is_found_by_its_pixels_and_everything_is_answered(folders):
    ucm, photos = folders
    model = load(f"gpb-owt-ucm@folder={ucm},images={photos}")
    for path in sorted(photos.glob("*.jpg"))[3:5]:
        image = read_rgb(str(path))
        expected = contour_tree(read_ucm2(ucm / f"{path.stem}.mat"), place=path.name)
        labels = model.partition(image, 12)
        np.testing.assert_array_equal(labels, expected.partition(12))
        assert set(np.unique(labels)) == set(range(1, 13))
        assert len(model.propose(image, limit=30)) == 30
        assert model.click(image, [(5, 5, True)])[5, 5]
    at = load(f"gpb-owt-ucm@folder={ucm},images={photos},level=0.3")
    cut = expected.cut(0.3)
    np.testing.assert_array_equal(at.click(image, [(9, 7, True)]), cut == cut[7, 9])


def test_a_photo_that_is_not_there_is_refused_in_one_line(pair):
    ucm, photos, stem = pair
    image = read_rgb(str(photos / f"{stem}.jpg"))
    other = image.copy()
    other[0, 0] ^= 1
    with pytest.raises(ValueError, match=r"no photo of .* equals this image of") as refused:
        gpb_owt_ucm(other, folder=ucm, images=photos)
    assert "\n" not in str(refused.value)
    (ucm / f"{stem}.mat").unlink()
    with pytest.raises(ValueError, match=r"no photo of .* that has a file \.mat"):
        gpb_owt_ucm(image, folder=ucm, images=photos)


@pytest.mark.parametrize("kind", ["empty", "text", "cut short", "damaged", "version 7.3"])
def test_a_file_that_cannot_be_read_is_named(kind, pair):
    ucm, photos, stem = pair
    path = ucm / f"{stem}.mat"
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[200:2000:7] = bytes(len(damaged[200:2000:7]))
    spoilt = {
        "empty": b"",
        "text": b"not a matrix\n" * 40,
        "cut short": whole[: len(whole) // 2],
        "damaged": bytes(damaged),
        "version 7.3": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\0" * 400,
    }
    path.write_bytes(spoilt[kind])
    with pytest.raises(ValueError, match=rf"{stem}\.mat: ") as refused:
        gpb_owt_ucm(read_rgb(str(photos / f"{stem}.jpg")), folder=ucm, images=photos)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        ({"ucm": np.zeros((5, 5))}, "no matrix of numbers named ucm2"),
        ({"ucm2": "contours"}, "no matrix of numbers named ucm2"),
        ({"ucm2": np.zeros((5, 5, 3))}, "no matrix of numbers named ucm2"),
        ({"ucm2": np.zeros((4, 5))}, "ucm2 is 4 x 5; a doubled grid has"),
        ({"ucm2": np.zeros((1, 1))}, "ucm2 is 1 x 1; a doubled grid has"),
        ({"ucm2": np.full((5, 5), np.nan)}, r"values outside 0\.\.1"),
        ({"ucm2": np.full((5, 5), 255)}, r"values outside 0\.\.1"),
        ({"ucm2": np.full((5, 5), -0.5)}, r"values outside 0\.\.1"),
        ({"ucm2": np.full((5, 5), 0.5)}, "contours on pixels"),
        ({"ucm2": np.zeros((5, 7))}, "of an image of .* the photo has"),
    ],
)
def test_what_is_no_contour_map_of_the_photo_is_refused(stored, told, pair):
    ucm, photos, stem = pair
    savemat(ucm / f"{stem}.mat", stored)
    with pytest.raises(ValueError, match=told) as refused:
        gpb_owt_ucm(read_rgb(str(photos / f"{stem}.jpg")), folder=ucm, images=photos)
    assert f"{stem}.mat" in str(refused.value) and "\n" not in str(refused.value)


def test_an_open_corner_between_closed_contours_is_refused():
    ucm2 = np.zeros((5, 5))
    ucm2[2, 1], ucm2[2, 2] = 0.5, 0.25
    with pytest.raises(ValueError, match="x: ucm2 has a corner weaker than a contour"):
        contour_tree(ucm2, place="x")
