import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace import masks
from maskspace.data.clicks import (
    CLICKERS,
    center_click,
    depth,
    inner,
    inner_click,
    next_click,
    random_click,
)
from maskspace.types import Click

ANY_MASKS = arrays(bool, (6, 7))
MASKS = ANY_MASKS.map(lambda mask: mask if mask.any() else np.invert(mask))
NAMES = {"seed": 3, "key": "image", "mask_id": 2}
ONE_CLICK = {"center": lambda mask, **_: center_click(mask), "random": random_click}
ONE_CLICK["inner"] = inner_click


@pytest.fixture(scope="module")
def recorded(vectors):
    return json.loads((vectors / "segnext_vectors.json").read_text())


def drawn(rows, sign="#"):
    """Return the mask of a sign in rows of text."""
    return np.array([[pixel == sign for pixel in row] for row in rows])


def squared_depths(mask):
    """Return by brute force the squared distance of each pixel to the padded outside."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    inside = np.argwhere(np.ones(mask.shape, bool)) + 1
    squared = ((inside[:, None] - outside[None]) ** 2).sum(axis=2).min(axis=1)
    return squared.reshape(mask.shape)


@given(MASKS)
def test_depth_is_the_distance_to_the_nearest_pixel_outside(mask):
    np.testing.assert_array_equal(depth(mask), np.sqrt(squared_depths(mask)))


@given(MASKS)
def test_center_is_the_first_deepest_pixel_in_row_major_order(mask):
    click = center_click(mask)
    deepest = np.argwhere(squared_depths(mask) == squared_depths(mask).max())
    assert (click.y, click.x) == tuple(deepest[0])
    assert mask[click.y, click.x] and click.positive


@given(MASKS, st.integers(0, 5), st.integers(0, 5))
def test_center_moves_with_the_mask(mask, rows, columns):
    moved = np.pad(mask, ((rows, 3), (columns, 2)))
    before, after = center_click(mask), center_click(moved)
    assert (after.x, after.y) == (before.x + columns, before.y + rows)


def test_the_border_of_the_image_is_outside():
    click = center_click(np.ones((5, 9), bool))
    assert (click.x, click.y) == (2, 2)


@given(MASKS, st.integers(0, 99))
def test_random_click_is_inside_and_repeats(mask, seed):
    click = random_click(mask, seed=seed, key="image", mask_id=3)
    assert mask[click.y, click.x]
    assert click == random_click(mask, seed=seed, key="image", mask_id=3)


def test_random_clicks_differ_by_seed_key_and_mask_and_reach_every_pixel():
    mask = np.zeros((40, 40), bool)
    mask[3:33, 5:35] = True
    names = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]
    drawn = {random_click(mask, seed=s, key=k, mask_id=i) for s, k, i in names}
    assert len(drawn) == len(names)
    small = mask[:4, :7]
    reached = {random_click(small, seed=s, key="a", mask_id=1) for s in range(60)}
    assert {(c.x, c.y) for c in reached} == {(5, 3), (6, 3)}


@pytest.mark.parametrize("way", sorted(ONE_CLICK))
def test_an_empty_mask_is_refused(way):
    with pytest.raises(ValueError, match="empty mask"):
        ONE_CLICK[way](np.zeros((3, 3), bool), **NAMES)


@given(MASKS)
def test_the_centre_is_a_deepest_pixel_of_the_mask_and_of_its_flips_and_transposition(mask):
    squared = squared_depths(mask)
    upside_down, mirrored = center_click(mask[::-1]), center_click(mask[:, ::-1])
    transposed = center_click(mask.T)
    clicks = [
        center_click(mask),
        Click(upside_down.x, 5 - upside_down.y),
        Click(6 - mirrored.x, mirrored.y),
        Click(transposed.y, transposed.x),
    ]
    assert [squared[click.y, click.x] for click in clicks] == [squared.max()] * 4


@given(MASKS, st.sampled_from([1.7, 2.0, 3.0]))
def test_inner_clicks_are_deeper_than_the_deepest_over_the_factor(mask, factor):
    depths = np.sqrt(squared_depths(mask))
    for seed in range(5):
        click = inner_click(mask, seed=seed, key="image", mask_id=2, factor=factor)
        assert depths[click.y, click.x] > depths.max() / factor and click.positive


def test_inner_clicks_reach_every_candidate():
    mask = np.pad(np.ones((7, 5), bool), 2)
    clicks = {inner_click(mask, seed=seed, key="a", mask_id=1) for seed in range(120)}
    assert {(c.y, c.x) for c in clicks} == {(y, x) for y in range(3, 8) for x in range(3, 6)}


def test_a_factor_that_no_pixel_can_meet_is_refused():
    with pytest.raises(ValueError, match="factor must be above 1"):
        inner(depth(np.ones((3, 3), bool)), 1.0)


def brute_force_next(predicted, truth, ignore, clicked):
    """Return the next centre click from distances between all pairs of pixels."""
    depths = {
        True: squared_depths(truth & ~predicted & ~ignore),
        False: squared_depths(predicted & ~truth & ~ignore),
    }
    for click in clicked:
        depths[True][click.y, click.x] = depths[False][click.y, click.x] = 0
    positive = bool(depths[True].max() > depths[False].max())
    row, column = np.argwhere(depths[positive] == depths[positive].max())[0].tolist()
    return Click(column, row, positive)


@settings(deadline=None)
@given(ANY_MASKS, ANY_MASKS, ANY_MASKS)
def test_the_next_click_is_the_deepest_error_not_clicked_yet(predicted, truth, ignore):
    clicked = []
    for _ in range(3):
        click = next_click(predicted, truth, ignore=ignore, clicked=clicked)
        assert click == brute_force_next(predicted, truth, ignore, clicked)
        clicked.append(click)


@given(MASKS, MASKS)
def test_exchanging_prediction_and_truth_exchanges_the_sign_but_for_ties(predicted, truth):
    click, other = next_click(predicted, truth), next_click(truth, predicted)
    if click.positive or other.positive:
        assert other == Click(click.x, click.y, not click.positive)


@pytest.mark.parametrize("way", sorted(CLICKERS))
@given(mask=MASKS)
def test_the_first_click_on_an_empty_prediction_is_the_one_click_of_the_mask(way, mask):
    first = CLICKERS[way](np.zeros_like(mask), mask, **NAMES)
    assert first == ONE_CLICK[way](mask, **NAMES)


@pytest.mark.parametrize("way", sorted(CLICKERS))
@given(predicted=ANY_MASKS, truth=ANY_MASKS, ignore=ANY_MASKS)
def test_every_click_corrects_an_error_and_none_twice(way, predicted, truth, ignore):
    clicked = []
    for _ in range(int(((predicted != truth) & ~ignore).sum())):
        click = CLICKERS[way](predicted, truth, ignore=ignore, clicked=clicked, **NAMES)
        assert (predicted if not click.positive else truth)[click.y, click.x]
        assert predicted[click.y, click.x] != truth[click.y, click.x]
        assert not ignore[click.y, click.x] and click not in clicked
        clicked.append(click)
    after = CLICKERS[way](predicted, truth, ignore=ignore, clicked=clicked, **NAMES)
    assert after == Click(0, 0, False)


@pytest.mark.parametrize("way", sorted(CLICKERS))
def test_next_clicks_repeat_and_differ_from_round_to_round_only_where_drawn(way):
    truth = np.pad(np.ones((40, 40), bool), 5)
    far = [[Click(0, 0, False)] * count for count in range(1, 7)]
    empty = np.zeros_like(truth)
    clicks = [CLICKERS[way](empty, truth, clicked=before, **NAMES) for before in far]
    assert clicks == [CLICKERS[way](empty, truth, clicked=before, **NAMES) for before in far]
    assert len(set(clicks)) == (1 if way == "center" else len(far))


@pytest.mark.parametrize("way", sorted(CLICKERS))
def test_one_pixel_missed_is_clicked(way):
    truth = np.zeros((4, 5), bool)
    truth[2, 3] = True
    assert CLICKERS[way](np.zeros_like(truth), truth, **NAMES) == Click(3, 2)
    assert CLICKERS[way](truth, np.zeros_like(truth), **NAMES) == Click(3, 2, False)


def test_a_tie_of_depths_gives_a_negative_click():
    predicted, truth = np.zeros((7, 9), bool), np.zeros((7, 9), bool)
    truth[:3, :3] = predicted[4:, 6:] = True
    assert next_click(predicted, truth) == Click(7, 5, False)


def test_next_clicks_are_those_recorded_from_segnext(recorded):
    cases = {case["name"]: case for case in recorded["center_clicker"] if "gt" in case}
    assert len(cases) == 8
    rounds = cases.pop("same_prediction_four_times_clicked_pixels_excluded")
    for case in cases.values():
        truth, ignore, predicted = drawn(case["gt"]), drawn(case["gt"], "x"), drawn(case["pred"])
        click = next_click(predicted, truth, ignore=ignore)
        assert [click.y, click.x] == case["row_col"] and click.positive == case["positive"]
    clicked = []
    for positive, row, column, _ in rounds["clicks_positive_row_col_index"]:
        clicked.append(next_click(drawn(rounds["pred"]), drawn(rounds["gt"]), clicked=clicked))
        assert clicked[-1] == Click(column, row, positive)


def test_depths_and_inner_pixels_are_those_recorded_from_opencv(recorded):
    case = recorded["distance_transform_mask_size"]
    depths = depth(drawn(case["mask"])).astype(np.float32)
    np.testing.assert_array_equal(depths, np.array(case["eval_maskSize_0"], np.float32))
    rectangle = drawn(recorded["center_clicker"][0]["gt"])
    candidates = np.argwhere(inner(depth(rectangle), 1.7))
    assert candidates.tolist() == recorded["inner_candidates_k_1.7"]


def test_clicks_follow_a_recorded_evaluation(vectors):
    tiny = torch.load(vectors / "segnext_tiny_sax1_448.pt", weights_only=True)
    case = tiny["evaluation_case"]
    truth = case["gt"].numpy()
    predicted, clicked = np.zeros(truth.shape, bool), []
    for step in case["steps"]:
        click = next_click(predicted, truth == 1, ignore=truth == -1, clicked=clicked)
        assert click == Click(step["col"], step["row"], step["positive"])
        clicked.append(click)
        predicted = step["probs"].numpy() > case["pred_thr"]


def test_centers_of_a_photos_regions_lie_inside_them(assets):
    from PIL import Image

    path = sorted(assets.glob("bsds500/val/groundTruth/*.png"))[0]
    _, truths = masks.from_label_map(np.asarray(Image.open(path)).astype(np.int64))
    for mask in truths:
        click = center_click(mask)
        assert mask[click.y, click.x]
