import numpy as np

from maskspace.metrics.locality import Change, change

TRUE, BEFORE, AFTER, IGNORE = np.random.default_rng(0).random((4, 9, 11)) < 0.5
NOTHING = np.zeros_like(TRUE)


def test_a_correction_that_mends_everything_stays_inside_the_error():
    wrong = int((BEFORE != TRUE).sum())
    assert change(BEFORE, TRUE, TRUE, NOTHING) == Change(changed=wrong, outside=0)


def test_whatever_a_perfect_mask_changes_to_lies_outside():
    found = change(TRUE, AFTER, TRUE, NOTHING)
    assert found.changed == found.outside == (TRUE != AFTER).sum()


def test_no_change_is_nothing():
    assert change(BEFORE, BEFORE, TRUE, NOTHING) == Change(changed=0, outside=0)


def test_what_lies_outside_is_what_was_right_and_is_wrong():
    found = change(BEFORE, AFTER, TRUE, NOTHING)
    assert found.outside == ((BEFORE == TRUE) & (AFTER != TRUE)).sum()
    assert found.changed - found.outside == ((BEFORE != TRUE) & (AFTER == TRUE)).sum()


def test_ignored_pixels_do_not_count():
    found = change(BEFORE, AFTER, TRUE, IGNORE)
    assert found == change(BEFORE ^ IGNORE, AFTER, TRUE, IGNORE)
    assert found == change(BEFORE, AFTER, TRUE ^ IGNORE, IGNORE)
