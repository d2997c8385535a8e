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


def test_the_ramp_is_ordered_in_grey_and_clips():
    colors = pictures.ramp_colors(np.linspace(0, 1, 64)).astype(int)
    assert (np.diff(colors @ [299, 587, 114]) >= 0).all()
    np.testing.assert_array_equal(pictures.ramp_colors(np.array([-3.0, 7.0])), colors[[0, -1]])


def test_level_lines_lie_where_the_map_passes_them_and_nowhere_else():
    image = np.full((8, 20, 3), 255, np.uint8)
    map_ = np.tile(np.linspace(0, 1, 20), (8, 1))
    painted = pictures.paint_level_lines(image, map_, levels=(0.25, 0.75))
    drawn = (painted != painted[0, 0]).any(axis=2)
    assert drawn.all(axis=0).sum() == drawn.any(axis=0).sum() == 2
    flat = pictures.paint_level_lines(image, np.full((8, 20), 0.9), levels=(0.25, 0.75))
    assert (flat == flat[0, 0]).all()


def test_a_click_is_seen_at_its_place_and_says_its_sign():
    image = np.full((21, 31, 3), 128, np.uint8)
    green, red = (
        pictures.paint_click(image, (10, 8), radius=3, positive=sign) for sign in (True, False)
    )
    assert green[8, 10, 1] > green[8, 10, 0] and red[8, 10, 0] > red[8, 10, 1]
    rows, columns = np.nonzero((green != image).any(axis=2))
    assert (rows.min() + rows.max(), columns.min() + columns.max()) == (16, 20)


def test_a_map_keeps_its_mean_when_it_shrinks():
    map_ = np.random.default_rng(0).random((64, 96)).astype(np.float32)
    fitted = pictures.fit_map(map_, 24)
    assert fitted.shape == (16, 24)
    assert fitted.mean() == pytest.approx(map_.mean(), abs=0.01)
    np.testing.assert_array_equal(pictures.fit_map(map_, 96), map_)


def test_names_of_several_lines_have_room():
    cell = np.zeros((8, 96, 3), np.uint8)
    one, four = (
        pictures.contact_sheet([[cell]], titles=["t"], names=[name], side=96)
        for name in ("name", "name\nof\nfour\nlines")
    )
    assert four.shape[0] > one.shape[0]
    assert four.shape[1] <= one.shape[1]


def test_curves_over_a_linear_axis_may_be_none_at_all(tmp_path):
    lines = [pictures.Line(label="a", x=range(1, 21), y=[0.05 * k for k in range(1, 21)])]
    pictures.plot_curves(
        tmp_path / "a.png", {"full": lines, "empty": []}, x_label="k", y_label="y",
        logarithmic=False,
    )  # fmt: skip
    assert (tmp_path / "a.png").stat().st_size > 1000
