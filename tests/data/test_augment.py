import numpy as np
import pytest

from maskspace.data import READERS
from maskspace.data.augment import (
    label_map_at_depth,
    nesting_depths,
    random_crop,
    random_label_map,
)
from maskspace.data.loader import dense


@pytest.fixture(scope="module")
def scene():
    return dense(READERS["scenes"]("", seed=0, limit=1)[0])


def crop(scene, seed=0, **options):
    chosen = {"size": 48, "min_scale": 0.5, "colours": False} | options
    return random_crop(scene, generator=np.random.default_rng(seed), **chosen)


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
