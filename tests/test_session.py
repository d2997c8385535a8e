import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskspace.session import ClickSession, checked_clicks, read_session
from maskspace.types import Click

SIZE_HW = (12, 16)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8)
START = np.tri(*SIZE_HW).astype(bool)


class Columns:
    """Every click sets or clears the columns up to its own, in order; counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, clicks, *, level, start, rule):
        self.asked += 1
        if rule not in ("claims", "iterative") or not 0 < level < 1:
            raise ValueError("no such rule or level")
        mask = np.zeros(SIZE_HW, bool) if start is None else start.copy()
        for click in clicks:
            mask[: round(level * SIZE_HW[0]), : click.x + 1] = click.positive
        return mask


def make_session(answer=None, **options) -> ClickSession:
    return ClickSession(IMAGE, answer or Columns(), model="columns", **options)


CLICK = st.builds(Click, st.integers(0, 15), st.integers(0, 11), st.booleans())
CHANGES = st.one_of(CLICK, st.sampled_from(["undo", "redo", "clear"]))


@settings(max_examples=60)
@given(st.lists(CHANGES, max_size=12))
def test_any_sequence_of_changes_is_that_of_two_stacks(changes):
    answer, session = Columns(), make_session()
    done, undone = [()], []
    for change in changes:
        if change == "undo" and len(done) > 1:
            undone.append(done.pop())
            session.undo()
        elif change == "redo" and undone:
            done.append(undone.pop())
            session.redo()
        elif change == "clear" or isinstance(change, Click):
            done.append(() if change == "clear" else (*done[-1], change))
            undone = []
            session.clear() if change == "clear" else session.extend([change])
        assert session.clicks == done[-1]
        expected = answer(done[-1], level=0.5, start=None, rule="claims")
        np.testing.assert_array_equal(session.mask, expected)


def test_undo_and_redo_ask_nobody_and_one_click_asks_once():
    answer = Columns()
    session = make_session(answer)
    masks = [session.mask] + [session.add(x, 2, x != 6) for x in (9, 6, 3)]
    assert answer.asked == 4
    for mask in masks[-2::-1]:
        np.testing.assert_array_equal(session.undo(), mask)
    np.testing.assert_array_equal(session.redo(3), masks[-1])
    assert answer.asked == 4


def test_many_clicks_at_once_are_as_many_steps():
    session = make_session()
    session.extend([(3, 3, True), Click(5, 5), (7, 7, False)])
    assert session.clicks == (Click(3, 3), Click(5, 5), Click(7, 7, False))
    session.undo(2)
    assert session.clicks == (Click(3, 3),)
    np.testing.assert_array_equal(session.extend([]), session.mask)
    assert session.clicks == (Click(3, 3),)


def test_without_clicks_the_mask_is_the_start_mask():
    assert not make_session().mask.any()
    session = make_session(start=START)
    session.add(9, 9, False)
    np.testing.assert_array_equal(session.clear(), START)
    np.testing.assert_array_equal(session.change(start=~START), ~START)


def test_settings_change_the_mask_and_not_the_clicks():
    session = make_session()
    session.extend([Click(3, 3), Click(8, 3)])
    session.undo()
    assert session.change(level=0.75, rule="iterative").sum() == 9 * 4
    assert (session.settings.level, session.settings.rule) == (0.75, "iterative")
    assert session.redo().sum() == 9 * 9


def test_a_saved_session_is_taken_up_with_everything_that_shows(tmp_path):
    session = make_session(start=START, level=0.7, rule="iterative")
    session.extend([Click(3, 3), Click(15, 11, False), Click(0, 0)])
    path = tmp_path / "clicks.json"
    session.save(path)
    other = make_session()
    np.testing.assert_array_equal(other.load(path), session.mask)
    assert (other.clicks, other.settings) == (session.clicks, session.settings)
    assert other.to_json() == path.read_bytes() == session.to_json()
    other.undo(3)
    np.testing.assert_array_equal(other.mask, START)
    document = json.loads(path.read_text())
    assert (document["model"], document["version"]) == ("columns", 1)
    assert document["clicks"][1] == {"x": 15, "y": 11, "positive": False}
    assert document["size_hw"] == [12, 16] and len(document["sha256"]) == 64
    assert [p.name for p in tmp_path.iterdir()] == ["clicks.json"]


def edited(path, **changes) -> bytes:
    return json.dumps(json.loads(path.read_text()) | changes).encode()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda p: b"", "not valid JSON"),
        (lambda p: b"\xff\xfe", "not valid JSON"),
        (lambda p: b"[" * 100_000, "not valid JSON"),
        (lambda p: p.read_bytes()[:-20], "not valid JSON"),
        (lambda p: b"[1]", "not a file that a session was saved to"),
        (lambda p: b'{"clicks": []}', "not a file that a session was saved to"),
        (lambda p: edited(p, version=2), "version 2"),
        (lambda p: edited(p, colour=1), "colour: unknown key"),
        (lambda p: edited(p, level="high"), "level"),
        (lambda p: edited(p, level=float("nan")), "level"),
        (lambda p: edited(p, level=2.0), "no such rule or level"),
        (lambda p: edited(p, rule="loudest"), "no such rule or level"),
        (lambda p: edited(p, size_hw=[16, 12]), "12 x 16 pixels; this one has 16 x 12"),
        (lambda p: edited(p, sha256="0" * 64), "another image"),
        (lambda p: edited(p, clicks=[{"x": 1, "y": 2}]), "clicks.0.positive"),
        (lambda p: edited(p, clicks=[{"x": 16, "y": 2, "positive": True}]), r"0\.\.15"),
        (lambda p: edited(p, start="no runs"), "run"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line_and_nothing_is_lost(tmp_path, change, told):
    path = tmp_path / "clicks.json"
    session = make_session(start=START)
    session.extend([Click(3, 3), Click(8, 8)])
    session.save(path)
    session.undo()
    path.write_bytes(change(path))
    mask = session.mask
    with pytest.raises(ValueError, match=told) as refused:
        session.load(path)
    assert "clicks.json" in str(refused.value) and "\n" not in str(refused.value)
    np.testing.assert_array_equal(session.mask, mask)
    assert session.clicks == (Click(3, 3),)
    session.redo()
    assert session.clicks == (Click(3, 3), Click(8, 8))


def test_files_that_cannot_be_read_or_written_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json: no such file"):
        read_session(tmp_path / "none.json")
    with pytest.raises(ValueError, match="cannot be read"):
        read_session(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"clicks\.json: cannot be written"):
        make_session().save(tmp_path / "file" / "clicks.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(1 << 27)
    with pytest.raises(ValueError, match="at most"):
        read_session(huge)


@pytest.mark.parametrize(
    "change",
    [
        lambda session: session.add(16, 0),
        lambda session: session.extend([Click(1, 1), Click(0, -1)]),
        lambda session: session.undo(2),
        lambda session: session.undo(-1),
        lambda session: session.redo(),
        lambda session: session.change(level=1.5),
        lambda session: session.change(rule="loudest"),
        lambda session: session.change(start=np.zeros((3, 3), bool)),
    ],
)
def test_a_change_that_is_refused_changes_nothing(change):
    session = make_session()
    mask = session.add(4, 4)
    with pytest.raises(ValueError):
        change(session)
    np.testing.assert_array_equal(session.mask, mask)
    assert session.clicks == (Click(4, 4),) and session.settings.level == 0.5


def test_clicks_are_whole_pixels_of_the_image():
    assert checked_clicks([(3, 4.0, True)], SIZE_HW) == [Click(3, 4, True)]
    for wrong in ((3.5, 4, True), (float("nan"), 1, True), (1, float("inf"), True)):
        with pytest.raises(ValueError, match="between pixels"):
            checked_clicks([wrong], SIZE_HW)
    with pytest.raises(ValueError, match=r"x is in 0\.\.15 and y in 0\.\.11"):
        checked_clicks([(-1, 4, True)], SIZE_HW)
