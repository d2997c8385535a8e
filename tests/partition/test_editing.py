import numpy as np
import pytest

from maskspace.partition.editing import RULES, combine_clicks


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Six random maps with rounded logits, so that ties occur, and their signs."""
    rng = np.random.default_rng(0)
    logits = rng.integers(-3, 4, (6, 15, 17)).astype(np.float32)
    return logits, np.array([True, False, True, True, False, True])


def reference(logits: np.ndarray, positive: np.ndarray, start: np.ndarray) -> np.ndarray:
    mask = start.copy()
    for y, x in np.ndindex(mask.shape):
        claims = [(v, not p) for v, p in zip(logits[:, y, x], positive, strict=True) if v > 0]
        if claims:
            mask[y, x] = not max(claims)[1]
    return mask


def test_claims_are_those_of_the_rule_applied_pixel_by_pixel(maps):
    logits, positive = maps
    start = np.random.default_rng(1).random(logits.shape[1:]) > 0.5
    mask = combine_clicks(logits, positive, start=start)
    np.testing.assert_array_equal(mask, reference(logits, positive, start))


@pytest.mark.parametrize("rule", RULES)
def test_order_of_clicks_does_not_matter(maps, rule):
    logits, positive = maps
    order = np.random.default_rng(2).permutation(len(logits))
    expected = combine_clicks(logits, positive, rule=rule)
    np.testing.assert_array_equal(
        combine_clicks(logits[order], positive[order], rule=rule), expected
    )


@pytest.mark.parametrize("rule", RULES)
def test_a_repeated_click_changes_nothing(maps, rule):
    logits, positive = maps
    again = combine_clicks(
        np.concatenate([logits, logits[1:3]]), np.concatenate([positive, positive[1:3]]), rule=rule
    )
    np.testing.assert_array_equal(again, combine_clicks(logits, positive, rule=rule))


def test_one_more_click_changes_pixels_only_where_it_claims_and_only_its_way(maps):
    logits, positive = maps
    start = np.random.default_rng(1).random(logits.shape[1:]) > 0.5
    for k in range(1, len(logits)):
        before = combine_clicks(logits[:k], positive[:k], start=start)
        after = combine_clicks(logits[: k + 1], positive[: k + 1], start=start)
        changed = before != after
        assert not (changed & (logits[k] <= 0)).any()
        assert (after[changed] == positive[k]).all()


def test_an_exact_tie_goes_to_the_negative_click():
    tied = np.full((2, 1, 1), 2.0)
    for rule in RULES:
        assert not combine_clicks(tied, np.array([True, False]), rule=rule).any()


def test_very_sure_clicks_are_still_told_apart():
    """A float32 sigmoid is 1 for both."""
    logits = np.array([[[40.0]], [[60.0]]], np.float32)
    assert not combine_clicks(logits, np.array([True, False])).any()
    assert combine_clicks(logits, np.array([False, True])).all()


def test_two_parts_join_by_claims_and_veto_each_other_by_the_largest():
    parts = np.array([[[2.0, -4.0]], [[-4.0, 2.0]]])
    positive = np.array([True, True])
    assert combine_clicks(parts, positive).all()
    assert not combine_clicks(parts, positive, rule="largest").any()


def test_a_negative_click_alone_switches_the_background_on_only_by_the_largest():
    removed = np.array([[[3.0, -5.0]]])
    negative = np.array([False])
    assert not combine_clicks(removed, negative).any()
    assert combine_clicks(removed, negative, rule="largest").tolist() == [[False, True]]


def test_no_clicks_keep_the_start_mask_which_is_not_written_to():
    start = np.eye(4, dtype=bool)
    kept = combine_clicks(np.zeros((0, 4, 4)), np.zeros(0, bool), start=start)
    np.testing.assert_array_equal(kept, start)
    assert kept is not start


def test_an_unknown_rule_and_a_map_without_numbers_are_refused():
    with pytest.raises(ValueError, match="claims, largest"):
        combine_clicks(np.zeros((1, 2, 2)), np.ones(1, bool), rule="most")
    with pytest.raises(ValueError, match="not numbers"):
        combine_clicks(np.full((1, 2, 2), np.nan), np.ones(1, bool))
