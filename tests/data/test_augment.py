from dataclasses import replace

import numpy as np
import pytest

from maskspace.data import READERS
from maskspace.data.augment import (
    Crops,
    label_map_at_depth,
    nesting_depths,
    random_crop,
    random_label_map,
)
from maskspace.data.loader import dense

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


@pytest.fixture(scope="module")
def scene():
    return dense(READERS["scenes"]("", seed=0, limit=1)[0])


def crop(scene, seed=0, **options):
    crops = replace(CROPS, **options)
    return random_crop(scene, crops, np.random.default_rng(seed))


def test_crops_have_their_size_and_no_empty_mask(scene):
    for seed in range(10):
        piece = crop(scene, seed)
        assert piece.image.shape == (48, 48, 3)
        assert piece.masks.shape[1:] == (48, 48)
        assert piece.masks.any(axis=(1, 2)).all()
        assert len(piece.masks) == len(piece.depths) == len(piece.scores)


def test_a_whole_crop_keeps_the_histogram_of_the_image(scene):
    side = scene.image.shape[0]
    piece = crop(scene, size=side, min_scale=1.0)
    assert (np.sort(piece.image.ravel()) == np.sort(scene.image.ravel())).all()
    assert sorted(piece.masks.sum((1, 2))) == sorted(scene.masks.sum((1, 2)))


def test_image_and_masks_turn_together(scene):
    side = scene.image.shape[0]
    marked = scene.image.copy()
    marked[~scene.masks[0]] = 0
    marked[scene.masks[0]] = 255
    alone = type(scene)(**{**vars(scene), "image": marked})
    for seed in range(8):
        piece = crop(alone, seed, size=side, min_scale=1.0)
        assert (piece.masks[0] == (piece.image[..., 0] == 255)).all()


def test_depths_count_the_masks_above():
    ids, parents = np.array([5, 2, 9, 7]), np.array([2, 0, 5, 42])
    assert nesting_depths(ids, parents).tolist() == [1, 0, 2, 0]


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


def test_low_scores_are_left_out(scene):
    piece = crop(scene)
    scored = type(piece)(
        **{**vars(piece), "scores": np.linspace(0, 1, len(piece.scores), dtype=np.float32)}
    )
    assert scored.scored(0.5).scores.min() >= 0.5


@pytest.mark.parametrize("placement", ["square", "stretch", "letterbox"])
def test_without_augmentation_nothing_is_drawn(scene, placement):
    pieces = [crop(scene, seed, placement=placement, augment=False) for seed in range(3)]
    for piece in pieces[1:]:
        assert (piece.image == pieces[0].image).all()
        assert (piece.masks == pieces[0].masks).all()


def wide(scene):
    """The scene with its right half gone: twice as high as wide, its lower half ignored."""
    half = scene.image.shape[1] // 2
    ignore = np.zeros_like(scene.ignore)
    ignore[len(ignore) // 2 :] = True
    return replace(
        scene,
        image=scene.image[:, :half],
        masks=scene.masks[:, :, :half],
        ignore=ignore[:, :half],
    )


def test_a_stretched_image_fills_the_square_and_a_letterbox_keeps_its_aspect(scene):
    high = wide(scene)
    stretched = crop(high, placement="stretch", augment=False, size=96)
    boxed = crop(high, placement="letterbox", augment=False, size=96)
    assert stretched.image[:, :, 0].any(axis=0).all()
    assert (boxed.image[:, :24] == 0).all() and (boxed.image[:, 72:] == 0).all()
    assert (boxed.image[:, 24:72] == high.image).all()
    assert boxed.masks.sum() * 2 == stretched.masks.sum()


def test_ignored_pixels_follow_the_image(scene):
    piece = crop(wide(scene), placement="stretch", augment=False, size=96)
    assert piece.ignore[48:].all() and not piece.ignore[:48].any()


def test_a_shift_of_brightness_leaves_the_masks(scene):
    plain = crop(scene, 3, size=96, min_scale=1.0)
    bright = crop(scene, 3, size=96, min_scale=1.0, brightness=0.3)
    assert (plain.masks == bright.masks).all()
    assert (plain.image != bright.image).any()
