import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskspace.partition.editing import RULES, combine_clicks, combine_probabilities, logit

SIZE_HW = (4, 5)
#: Few different logits, so that ties occur, and some beyond what a float32 sigmoid tells apart.
LOGITS = st.sampled_from([-60.0, -40.0, -2.0, -1.0, 0.0, 1.0, 2.0, 40.0, 60.0])


@st.composite
def edits(draw) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return up to six maps, their signs and a start mask."""
    count = draw(st.integers(0, 6))
    logits = draw(arrays(np.float32, (count, *SIZE_HW), elements=LOGITS))
    return logits, draw(arrays(bool, count)), draw(arrays(bool, SIZE_HW))


def reference(
    logits: np.ndarray, positive: np.ndarray, start: np.ndarray, rule: str = "claims"
) -> np.ndarray:
    """Return the rule applied pixel by pixel, in the words of its definition."""
    mask = start.copy()
    for y, x in np.ndindex(mask.shape):
        votes = [(v, not p) for v, p in zip(logits[:, y, x], positive, strict=True) if v > 0]
        if rule == "largest":
            votes += [(-v, p) for v, p in zip(logits[:, y, x], positive, strict=True) if v < 0]
        if votes:
            mask[y, x] = not max(votes)[1]
    return mask


@given(edits(), st.sampled_from(RULES))
def test_masks_are_those_of_the_rule_applied_pixel_by_pixel(edit, rule):
    logits, positive, start = edit
    mask = combine_clicks(logits, positive, start=start, rule=rule)
    np.testing.assert_array_equal(mask, reference(logits, positive, start, rule))


@given(edits(), st.sampled_from(RULES), st.randoms())
def test_neither_order_nor_repetition_of_clicks_matters(edit, rule, random):
    logits, positive, start = edit
    order = list(range(len(logits))) + [k for k in range(len(logits)) if random.random() < 0.5]
    random.shuffle(order)
    np.testing.assert_array_equal(
        combine_clicks(logits[order], positive[order], start=start, rule=rule),
        combine_clicks(logits, positive, start=start, rule=rule),
    )


@given(edits())
def test_one_more_click_changes_a_pixel_only_where_it_claims_it_and_is_surer(edit):
    logits, positive, start = edit
    for k in range(len(logits)):
        before = combine_clicks(logits[:k], positive[:k], start=start)
        after = combine_clicks(logits[: k + 1], positive[: k + 1], start=start)
        changed = before != after
        surest = logits[:k].max(axis=0, initial=0)
        assert not changed[logits[k] <= 0].any()
        assert not changed[logits[k] < surest].any()
        assert (after[changed] == positive[k]).all()
        surer = logits[k] > surest
        assert (after[surer] == positive[k]).all()


@given(edits())
def test_what_nobody_claims_stays_as_in_the_start_mask(edit):
    logits, positive, start = edit
    unclaimed = (logits <= 0).all(axis=0)
    mask = combine_clicks(logits, positive, start=start)
    np.testing.assert_array_equal(mask[unclaimed], start[unclaimed])
    assert not combine_clicks(logits, positive)[unclaimed].any()


@given(edits(), st.sampled_from(RULES))
def test_probabilities_give_what_their_logits_give(edit, rule):
    logits, positive, start = edit
    probabilities = 1 / (1 + np.exp(-np.clip(logits, -30, 30).astype(np.float64)))
    np.testing.assert_array_equal(
        combine_probabilities(probabilities, positive, start=start, rule=rule),
        combine_clicks(logit(probabilities), positive, start=start, rule=rule),
    )
    np.testing.assert_array_equal(probabilities > 0.5, logit(probabilities) > 0)


def test_neighbouring_float32_probabilities_are_told_apart_and_0_and_1_are_quite_sure():
    nearly = np.nextafter(np.float32(1), np.float32(0))
    steps = np.array([0, 1e-45, 1e-30, 0.25, 0.5, 0.75, np.nextafter(nearly, 0), nearly, 1])
    logits = logit(steps.astype(np.float32))
    assert (np.diff(logits) > 0).all()
    assert logits[4] == 0 and logits[3] == -logits[5]
    assert np.isinf(logits[[0, -1]]).all() and np.isfinite(logits[1:-1]).all()
    one = np.ones((2, 1, 1), np.float32)
    assert combine_probabilities(one, np.array([True, True])).all()
    assert not combine_probabilities(one, np.array([True, False])).any()


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
    combine_clicks(np.full((1, 4, 4), 3.0), np.ones(1, bool), start=start)
    np.testing.assert_array_equal(start, np.eye(4, dtype=bool))


def test_an_unknown_rule_and_maps_that_are_none_are_refused():
    one = np.ones(1, bool)
    with pytest.raises(ValueError, match="claims, largest"):
        combine_clicks(np.zeros((1, 2, 2)), one, rule="most")
    with pytest.raises(ValueError, match="not numbers"):
        combine_clicks(np.full((1, 2, 2), np.nan), one)
    with pytest.raises(ValueError, match="not numbers"):
        combine_probabilities(np.full((1, 2, 2), np.nan), one)
    with pytest.raises(ValueError, match=r"in \[0, 1\]; got 1\.5"):
        combine_probabilities(np.full((1, 2, 2), 1.5), one)
