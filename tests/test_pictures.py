import numpy as np
import pytest
from PIL import Image

from maskspace import pictures
from maskspace.pictures import Line


def test_colours_are_stable_and_distinct():
    colors = pictures.label_colors(np.arange(30))
    np.testing.assert_array_equal(colors[[3, 7]], pictures.label_colors(np.array([3, 7])))
    assert len(np.unique(colors, axis=0)) == 30
    neighbours = np.abs(np.diff(colors.astype(int), axis=0)).max(axis=1)
    assert neighbours.min() > 60


def test_outlines_lie_on_both_sides_of_no_region_twice():
    labels = np.array([[1, 1, 2], [1, 1, 2], [3, 3, 3]])
    expected = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
    np.testing.assert_array_equal(pictures.outlines(labels), expected)
    assert not pictures.outlines(np.full((4, 5), 7)).any()


def test_painting_colours_by_label_and_darkens_what_has_none():
    image = np.full((9, 9, 3), 100, np.uint8)
    labels = np.zeros((9, 9), int)
    labels[:4] = 5
    painted = pictures.paint_labels(image, labels, opacity=1.0)
    assert (painted[0, 0] == pictures.label_colors(np.array([5]))[0]).all()
    assert (painted[8, 8] == 50).all()
    alone = pictures.paint_labels(image, np.where(labels == 5, 5, 2), opacity=1.0)
    assert (alone[0, 0] == painted[0, 0]).all()


def test_smaller_masks_are_painted_above_larger_ones():
    image = np.zeros((8, 8, 3), np.uint8)
    masks = np.zeros((2, 8, 8), bool)
    masks[0, 2:4, 2:4] = True
    masks[1] = True
    painted = pictures.paint_masks(image, masks, opacity=1.0)
    assert (painted[2, 2] == pictures.label_colors(np.array([1]))[0]).all()
    assert (painted[7, 7] == pictures.label_colors(np.array([2]))[0]).all()


def test_three_channels_are_colours_and_one_is_grey():
    features = np.random.default_rng(0).random((3, 5, 6)).astype(np.float32)
    colors = pictures.feature_colors(features)
    assert np.abs(colors / 255 - features.transpose(1, 2, 0)).max() <= 0.5 / 255 + 1e-6
    grey = pictures.feature_colors(features[:1])
    assert (grey == grey[..., :1]).all()


@pytest.mark.parametrize("channels", [2, 4, 12])
def test_principal_colours_do_not_depend_on_the_basis(channels):
    generator = np.random.default_rng(channels)
    features = generator.random((channels, 20, 20)) * np.arange(1, channels + 1)[:, None, None]
    colors = pictures.feature_colors(features)
    assert colors.shape == (20, 20, 3)
    rotation, _ = np.linalg.qr(generator.normal(size=(channels, channels)))
    turned = pictures.feature_colors(np.einsum("dc,chw->dhw", rotation, features))
    # A component's sign is a convention, so each channel is equal or mirrored about mid-grey.
    for axis in range(min(3, channels)):
        one, two = colors[..., axis].astype(int), turned[..., axis].astype(int)
        assert min(np.abs(one - two).max(), np.abs(one - (255 - two)).max()) <= 1


def test_a_constant_embedding_is_flat_grey():
    colors = pictures.feature_colors(np.full((12, 8, 8), 0.3))
    assert (colors == 128).all()


def test_fitting_keeps_the_aspect_and_the_labels():
    labels = np.arange(6).reshape(2, 3)
    larger = pictures.fit_labels(labels, 12)
    np.testing.assert_array_equal(larger, labels.repeat(4, axis=0).repeat(4, axis=1))
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    assert pictures.fit_image(image, 60).shape == (40, 60, 3)
    assert pictures.fit_image(image, 10).shape == (7, 10, 3)
    np.testing.assert_array_equal(pictures.fit_image(image, 60)[::2, ::2], image)


def test_a_sheet_holds_its_images_and_rows_may_be_short():
    red, blue = (np.full((10, 20, 3), color, np.uint8) for color in ((255, 0, 0), (0, 0, 255)))
    sheet = pictures.contact_sheet([[red, blue], [blue]], titles=["a", "b"], names=["x", "y"])
    pixels = sheet.reshape(-1, 3)
    assert (pixels == (255, 0, 0)).all(axis=1).sum() == 192 * 96
    assert (pixels == (0, 0, 255)).all(axis=1).sum() == 2 * 192 * 96
    assert pictures.contact_sheet([], titles=["a"]).ndim == 3


def test_files_appear_whole_and_repeat_byte_for_byte(tmp_path):
    lines = [Line(label="a", x=[1, 10], y=[0.1, 0.9]), Line(label="b", x=[1, 10], y=[0.2, 0.3])]
    for name in ("one", "two"):
        folder = tmp_path / name
        pictures.plot_curves(folder / "c.png", {"p": lines}, x_label="x", y_label="y")
        pictures.plot_scatter(folder / "s.png", {"p": lines, "q": []}, x_label="x", y_label="y")
        pictures.plot_histories(folder / "h.png", {"p": lines}, x_label="x", y_label="y")
        bars = pictures.Histogram(bins=["0", "1"], counts={"a": [1, 3], "b": [0, 0]})
        pictures.plot_histograms(folder / "b.png", {"p": bars}, y_label="share")
        pictures.save_image(folder / "i.png", np.zeros((4, 4, 3), np.uint8))
        assert {p.name for p in folder.iterdir()} == {"c.png", "s.png", "h.png", "b.png", "i.png"}
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
        with Image.open(path) as picture:
            picture.load()


def test_a_plot_of_nothing_is_still_a_picture(tmp_path):
    pictures.plot_scatter(tmp_path / "s.png", {}, x_label="x", y_label="y")
    empty = pictures.Histogram(bins=[], counts={})
    pictures.plot_histograms(tmp_path / "h.png", {"p": empty}, y_label="share")
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size[0] > 100


def test_photos_with_their_annotations(assets, tmp_path):
    photo = sorted(assets.glob("bsds500/val/images/*.jpg"))[0]
    image = np.asarray(Image.open(photo))
    path = sorted(assets.glob(f"bsds500/val/groundTruth/{photo.stem}_a*.png"))[0]
    labels = np.asarray(Image.open(path)).astype(np.int64)
    painted = pictures.paint_labels(image, labels)
    assert painted.shape == image.shape
    assert (painted[pictures.outlines(labels)] == 255).all()
