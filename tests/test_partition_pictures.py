"""Pictures of partitions: colours that stay, means that are means, files beside the others."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from maskspace.cli import main
from maskspace.partition.merge_tree import build_tree
from maskspace.pictures import mean_colors, paint_borders, slider_webp
from maskspace.pictures.partitions import steady_labels, steady_partitions

RNG = np.random.default_rng(0)
TREE = build_tree(RNG.random((3, 12, 16), dtype=np.float32), regions=40)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6, unique=True))
def test_a_region_keeps_its_label_while_it_is_not_split(numbers):
    steady = steady_partitions(TREE.partition, max(numbers))
    known: dict[bytes, int] = {}
    for number in sorted(numbers):
        labels, plain = steady(number), TREE.partition(number)
        assert sorted(np.unique(labels)) == list(range(1, number + 1))
        for region in range(1, number + 1):
            (label,) = np.unique(labels[plain == region])
            assert known.setdefault((plain == region).tobytes(), label) == label


def test_the_largest_part_keeps_the_label_of_what_is_split():
    areas = np.array([1, 5, 2, 2])
    whole, parts = np.array([3, 3, 3, 3]), np.array([1, 2, 3, 4])
    assert [one.tolist() for one in steady_labels([whole, parts], areas)] == [
        [1, 1, 1, 1],
        [2, 1, 3, 4],
    ]


def test_mean_colors_are_means_and_idempotent():
    image = RNG.integers(0, 256, (9, 7, 3), np.uint8)
    labels = RNG.integers(1, 4, (9, 7))
    mosaic = mean_colors(image, labels)
    for label in range(1, 4):
        mean = image[labels == label].mean(axis=0)
        assert (np.abs(mosaic[labels == label] - mean) <= 0.5).all()
    np.testing.assert_array_equal(mean_colors(mosaic, labels), mosaic)


def test_borders_change_pixels_beside_them_only():
    image = np.full((20, 30, 3), 120, np.uint8)
    labels = np.ones((20, 30), int)
    np.testing.assert_array_equal(paint_borders(image, labels), image)
    labels[:, 15:] = 2
    changed = (paint_borders(image, labels) != image).any(axis=(0, 2))
    assert np.flatnonzero(changed).tolist() == [13, 14, 15, 16]


def test_the_slider_has_a_frame_a_number_even_where_regions_vanish_at_its_size():
    film = slider_webp(np.zeros((12, 16, 3), np.uint8), TREE.partition, numbers=[2, 9, 40], side=8)
    assert Image.open(io.BytesIO(film)).n_frames == 3


NAMES = ["boundaries.png", "features.png", "mosaic.png", "regions.png", "slider.webp"]


@pytest.fixture
def photo(tmp_path):
    blocks = RNG.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(np.kron(blocks, np.ones((10, 10, 1), np.uint8))).save(path)
    return path


def test_pictures_lie_beside_what_was_found(photo, tmp_path):
    command = ["segment", str(photo), "--model", "student-tiny", "--regions", "5"]
    assert main([*command, "--format", "npz", "--pictures", "all", "--out", str(tmp_path)]) == 0
    found = sorted(path.name for path in tmp_path.glob("photo.*"))
    assert found == sorted(["photo.npz", *(f"photo.{name}" for name in NAMES)])
    assert Image.open(tmp_path / "photo.regions.png").size == (960, 640)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--model", "felzenszwalb", "--proposals", "3", "--pictures", "slider"], "hierarchy"),
        (["--model", "lab", "--pictures", "features"], "embed"),
        (["--model", "lab", "--pictures", "mosaic", "--format", "coco"], "folder"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_one_line(options, told, photo, tmp_path, capsys):
    out = tmp_path / ("all.json" if "coco" in options else "out")
    assert main(["segment", str(photo), *options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and told in error and not out.exists()


@pytest.mark.parametrize("model", ["student-tiny", "lab"])
def test_level_lines_of_a_click_are_drawn(model, photo, tmp_path):
    command = ["click", str(photo), "--model", model, "--at", "15,15", "--not", "45,25"]
    lines = tmp_path / "lines.png"
    assert main([*command, "--out", str(tmp_path / "m.png"), "--level-lines", str(lines)]) == 0
    picture = np.asarray(Image.open(lines).convert("RGB")).astype(int)
    assert picture.shape == (640, 960, 3)
    assert (picture.max(axis=2) - picture.min(axis=2) > 60).any()  # lines and marks are coloured


def test_a_name_that_is_no_picture_is_refused(photo, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["segment", str(photo), "--out", str(tmp_path), "--pictures", "mosaic,dendrogram"])
    assert "dendrogram" in capsys.readouterr().err
