from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from maskspace.data import READERS
from maskspace.data.annotations import annotate
from maskspace.data.crops import (
    Crop,
    Crops,
    Window,
    crop_image,
    draw_window,
    label_map_at_depth,
    nesting_depths,
    random_crop,
    random_label_map,
)
from maskspace.data.dense import dense, read_pixels
from maskspace.data.images import encode_png
from maskspace.data.placement import letterbox, stretch
from maskspace.types import Sample

CROPS = Crops(
    size=48,
    placement="square",
    augment=True,
    min_scale=0.5,
    max_scale=1.0,
    turns=True,
    shuffle_channels=False,
    contrast=0.0,
    brightness=0.0,
)


PLACEMENTS = ("square", "stretch", "letterbox")


@pytest.fixture(scope="module")
def scene() -> Sample:
    return READERS["scenes"]("", seed=0, limit=1)[0]


@pytest.fixture(scope="module")
def photos(assets) -> list[Sample]:
    """Photos with the masks of five annotators, some of which nest."""
    return READERS["bsds500"](str(assets / "bsds500"), seed=0, limit=6)[:]


def crop(scene: Sample, seed: int = 0, **options) -> Crop:
    crops = replace(CROPS, **options)
    return random_crop(scene, crops, np.random.default_rng(seed))


def whole_then_cropped(sample: Sample, crops: Crops, seed: int) -> tuple[np.ndarray, ...]:
    """The image, the masks and the ignored pixels of a crop, from the arrays of all of the sample.

    Neither turned nor recoloured.
    """
    arrays, generator = dense(sample), np.random.default_rng(seed)
    window = draw_window(sample.size_hw, crops, generator)
    fit = letterbox if crops.placement == "letterbox" else stretch
    placement = fit((window.height, window.width), (crops.size, crops.size))
    inside = (
        slice(window.top, window.top + window.height),
        slice(window.left, window.left + window.width),
    )
    rows, columns = placement.nearest
    planes = np.concatenate([arrays.masks, arrays.ignore[None]])[:, *inside]
    canvas = np.zeros((len(planes), crops.size, crops.size), bool)
    canvas[:, *placement.inside] = planes[:, rows[:, None], columns]
    resized = Image.fromarray(arrays.image[inside]).resize(
        placement.inner_hw[::-1], Image.Resampling.BILINEAR
    )
    image = np.zeros((crops.size, crops.size, 3), np.uint8)
    image[placement.inside] = np.asarray(resized)
    return image, canvas[:-1], canvas[-1]


def some_ignored(sample: Sample) -> Sample:
    marked = [replace(one, ignore=n % 5 == 3) for n, one in enumerate(sample.annotations)]
    return replace(sample, annotations=tuple(marked))


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", [16, 96, 400])
def test_a_crop_is_that_of_the_whole_arrays(scene, photos, placement, size):
    for seed, sample in enumerate([scene, *photos]):
        crops = replace(CROPS, placement=placement, size=size, turns=False, min_scale=0.2)
        marked = some_ignored(sample)
        image, masks, ignore = whole_then_cropped(marked, crops, seed)
        found = random_crop(marked, crops, np.random.default_rng(seed))
        kept = masks.any(axis=(1, 2))
        flipped = [one[..., ::-1] for one in (masks[kept], ignore)]
        is_flipped = not np.array_equal(found.masks, masks[kept])
        expected = flipped if is_flipped else [masks[kept], ignore]
        np.testing.assert_array_equal(found.masks, expected[0])
        np.testing.assert_array_equal(found.ignore, expected[1])
        ours = image[:, ::-1] if is_flipped else image
        apart = np.abs(found.image.astype(float) - ours)
        # a JPEG that is shrunk to less than half is decoded at a fraction of its size
        assert apart.mean() < 2.5 if sample is not scene and size < 200 else (apart == 0).all()


@pytest.mark.parametrize("part", [3, 4, 6, 8, 12, 14])
def test_a_photo_that_is_decoded_at_a_fraction_is_within_a_bound_of_the_whole_one(photos, part):
    """Levels of 255: at most 2.5 on average, and 1 of 20 values by more than 8."""
    for sample in photos:
        height, width = (side // 8 * 8 for side in sample.size_hw)
        window = Window(top=0, left=0, height=height, width=width)
        placement = stretch((height, width), (height // part, width // part))
        assert len(read_pixels(sample, least_hw=(height // 2, width // 2))) < height
        small = crop_image(sample, window, placement).astype(float)
        whole = Image.fromarray(read_pixels(sample)[:height, :width])
        shrunk = whole.resize((width // part, height // part), Image.Resampling.BILINEAR)
        apart = np.abs(small - np.asarray(shrunk))
        assert 0 < apart.mean() < 2.5 and (apart > 8).mean() < 0.05


def test_crops_have_their_size_and_no_empty_mask(scene):
    for seed in range(10):
        piece = crop(scene, seed)
        assert piece.image.shape == (48, 48, 3)
        assert piece.masks.shape[1:] == (48, 48)
        assert piece.masks.any(axis=(1, 2)).all()
        assert len(piece.masks) == len(piece.depths) == len(piece.scores) == len(piece.layers)


def test_a_whole_crop_keeps_the_histogram_of_the_image(scene):
    arrays = dense(scene)
    piece = crop(scene, size=scene.size_hw[0], min_scale=1.0)
    assert (np.sort(piece.image.ravel()) == np.sort(arrays.image.ravel())).all()
    assert sorted(piece.masks.sum((1, 2))) == sorted(arrays.masks.sum((1, 2)))


def test_image_and_masks_turn_together(scene):
    mask = dense(scene).masks[0]
    marked = np.where(mask[..., None], np.full(3, 255, np.uint8), np.uint8(0)).astype(np.uint8)
    alone = replace(scene, image=encode_png(marked))
    for seed in range(8):
        piece = crop(alone, seed, size=scene.size_hw[0], min_scale=1.0)
        assert (piece.masks[0] == (piece.image[..., 0] == 255)).all()


def test_masks_beside_the_window_are_not_decoded(scene):
    """What is damaged there is not even looked at."""
    height, width = scene.size_hw
    corner = np.zeros((1, height, width), bool)
    corner[:, :2, :2] = True
    (beside,) = annotate(corner)
    damaged = replace(scene, annotations=(replace(beside, counts="?"),))
    inside = [
        seed
        for seed in range(20)
        if not draw_window(scene.size_hw, CROPS, np.random.default_rng(seed)).meets((0, 0, 2, 2))
    ]
    assert inside
    for seed in inside:
        assert len(crop(damaged, seed).masks) == 0
    with pytest.raises(ValueError, match=f"{scene.key}: mask 0"):
        crop(damaged, min_scale=1.0)


def annotations(ids, parents, layers):
    mask = annotate(np.ones((1, 2, 2), bool))[0]
    return [
        replace(mask, id=i, parent=parent or None, layer=layer)
        for i, parent, layer in zip(ids, parents, layers, strict=True)
    ]


def test_depths_count_the_masks_above_of_the_same_layer():
    assert nesting_depths(annotations([5, 2, 9, 7], [2, 0, 5, 42], [0] * 4)).tolist() == [
        1,
        0,
        2,
        0,
    ]
    assert nesting_depths(annotations([1, 2, 3], [0, 1, 2], [0, 1, 0])).tolist() == [0, 0, 1]
    assert nesting_depths(annotations([1, 2], [2, 1], [0, 0])).tolist() == [2, 2]  # ends
    assert nesting_depths([]).tolist() == []


def test_a_deeper_label_map_refines_a_shallower_one(scene):
    piece = crop(scene, min_scale=1.0, size=96)
    for depth in range(int(piece.depths.max())):
        coarse, fine = label_map_at_depth(piece, depth), label_map_at_depth(piece, depth + 1)
        assert ((coarse > 0) <= (fine > 0)).all()
        assert len(np.unique(fine)) >= len(np.unique(coarse))


def test_every_level_is_drawn(scene):
    piece = crop(scene, min_scale=1.0, size=96)
    generator = np.random.default_rng(0)
    drawn = {random_label_map(piece, generator).tobytes() for _ in range(40)}
    assert len(drawn) == int(piece.depths.max()) + 1


def test_a_label_map_is_of_one_annotator(photos):
    for sample in photos:
        piece = crop(sample, size=96)
        generator = np.random.default_rng(0)
        own = {
            layer: {label_map_at_depth(piece, depth, layer=layer).tobytes() for depth in range(9)}
            for layer in set(piece.layers.tolist())
        }
        drawn = {random_label_map(piece, generator).tobytes() for _ in range(60)}
        assert drawn <= set.union(*own.values())
        assert all(drawn & maps for maps in own.values())
        assert label_map_at_depth(piece, 9).tobytes() in own[min(own)]


def test_an_image_without_masks_has_an_empty_label_map(scene):
    piece = crop(replace(scene, annotations=()))
    assert not random_label_map(piece, np.random.default_rng(0)).any()
    assert not label_map_at_depth(piece, 3).any() and not piece.ignore.any()


def test_low_scores_are_left_out_and_what_is_ignored_stays(scene):
    number = len(scene.annotations)
    marked = [
        replace(one, score=n / number, ignore=n == 0) for n, one in enumerate(scene.annotations)
    ]
    scored = replace(scene, annotations=tuple(marked))
    crops = replace(CROPS, min_scale=1.0)
    every, some = (
        random_crop(scored, crops, np.random.default_rng(0), least_score=least)
        for least in (0.0, 0.5)
    )
    assert some.scores.min() >= 0.5 and 0 < len(some.scores) < len(every.scores)
    np.testing.assert_array_equal(some.masks, every.masks[every.scores >= 0.5])
    np.testing.assert_array_equal(some.depths, every.depths[every.scores >= 0.5])
    assert some.ignore.any() and (some.ignore == every.ignore).all()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_without_augmentation_nothing_is_drawn(scene, placement):
    pieces = [crop(scene, seed, placement=placement, augment=False) for seed in range(3)]
    for piece in pieces[1:]:
        assert (piece.image == pieces[0].image).all()
        assert (piece.masks == pieces[0].masks).all()


def high(scene: Sample) -> Sample:
    """The scene with its right half gone: twice as high as wide, its lower half ignored."""
    arrays = dense(scene)
    height, half = scene.size_hw[0], scene.size_hw[1] // 2
    masks = arrays.masks[:, :, :half]
    lower = np.zeros((1, height, half), bool)
    lower[:, height // 2 :] = True
    marked = (*annotate(masks[masks.any(axis=(1, 2))]), replace(annotate(lower)[0], ignore=True))
    return replace(
        scene,
        image=encode_png(np.ascontiguousarray(arrays.image[:, :half])),
        size_hw=(height, half),
        annotations=marked,
    )


def test_a_stretched_image_fills_the_square_and_a_letterbox_keeps_its_aspect(scene):
    tall = high(scene)
    stretched = crop(tall, placement="stretch", augment=False, size=96)
    boxed = crop(tall, placement="letterbox", augment=False, size=96)
    assert stretched.image[:, :, 0].any(axis=0).all()
    assert (boxed.image[:, :24] == 0).all() and (boxed.image[:, 72:] == 0).all()
    assert (boxed.image[:, 24:72] == read_pixels(tall)).all()
    assert boxed.masks.sum() * 2 == stretched.masks.sum()


def test_ignored_pixels_follow_the_image(scene):
    piece = crop(high(scene), placement="stretch", augment=False, size=96)
    assert piece.ignore[48:].all() and not piece.ignore[:48].any()


def test_a_shift_of_brightness_leaves_the_masks(scene):
    plain = crop(scene, 3, size=96, min_scale=1.0)
    bright = crop(scene, 3, size=96, min_scale=1.0, brightness=0.3)
    assert (plain.masks == bright.masks).all()
    assert (plain.image != bright.image).any()


def test_a_square_beyond_the_image_is_mirrored_and_ignored_there(scene):
    height, width = scene.size_hw
    for seed in range(8):
        piece = crop(
            scene, seed, size=64, min_scale=1.5, max_scale=2.5, turns=False, contrast=0.0,
            brightness=0.0, shuffle_channels=False,
        )  # fmt: skip
        known = ~piece.ignore
        rows, columns = known.any(axis=1).nonzero()[0], known.any(axis=0).nonzero()[0]
        inside = known[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert inside.all()  # a rectangle
        if max(inside.shape) < 64:  # the whole image is shown
            assert inside.shape[0] / inside.shape[1] == pytest.approx(height / width, rel=0.1)
        assert not (piece.masks & piece.ignore).any()
        top, left = rows[0], columns[0]
        if top and left:  # a mirror stands at the first row and column of the image
            np.testing.assert_array_equal(piece.image[top - 1], piece.image[top])
            np.testing.assert_array_equal(piece.image[:, left - 1], piece.image[:, left])


def test_only_squares_reach_beyond_the_image():
    for placement in ("stretch", "letterbox"):
        with pytest.raises(ValueError, match="max_scale"):
            replace(CROPS, placement=placement, max_scale=1.2)
