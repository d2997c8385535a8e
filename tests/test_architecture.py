"""The picture of the rooms is the one that the import contract makes; the page names every room."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from docs.draw_architecture import ARROWS, PICTURE, STEPS, draw, rooms

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_picture_is_up_to_date():
    assert PICTURE.read_text() == draw(), "run python -m docs.draw_architecture"
    assert ElementTree.fromstring(draw()).tag.endswith("svg")


def test_every_room_is_on_the_page_and_is_there():
    for name in (name for row in rooms() for name in row):
        assert f"`{name}`" in PAGE, name
        places = [ROOT / "src/maskspace" / name, ROOT / f"src/maskspace/{name}.py", ROOT / name]
        assert any(place.exists() for place in places), name


def test_arrows_join_boxes_that_are_drawn():
    titles = [title for _, _, title, _, _ in STEPS]
    assert len(set(titles)) == len(titles)
    assert {end for ends in ARROWS for end in ends} == set(titles)
