import json
from pathlib import Path

import pytest

from maskspace.data.readers import json_lists
from maskspace.data.readers.json_lists import NotJsonError, list_elements
from maskspace.files import LocalFile

CONTENT = {
    "info": {"a": [1, {"b": "]"}], "année": "é"},
    "none": [],
    "numbers": [0, -12345678901234567890, 1.5e-300, True, None, 'é \\", "]}', "日本"],
    "date": 20171231,
    "objects": [{"id": i, "runs": [i] * i, "text": "x" * (7 * i)} for i in range(25)],
    "nested": [[[i] for i in range(4)]] * 3,
}


def elements(path: Path) -> list[tuple[str, int, str, object]]:
    return list(list_elements(LocalFile(path), path.stat().st_size, name=str(path)))


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 10**6])
@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"ensure_ascii": False}])
def test_pieces_of_any_size_give_the_elements_at_their_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, options: dict
) -> None:
    monkeypatch.setattr(json_lists, "PIECE", piece)
    path = tmp_path / "a.json"
    path.write_text(f" {json.dumps(CONTENT, **options)}\n", encoding="utf-8")
    content, found = path.read_bytes(), elements(path)
    read: dict[str, list] = {key: [] for key, _, text, _ in found if not text}
    for key, begin, text, value in found:
        if text:
            whole = content[begin : begin + len(text)]
            assert whole == text.encode("latin-1") and json.loads(text) == value
            read[key].append(json.loads(whole))
    assert read == {key: value for key, value in CONTENT.items() if isinstance(value, list)}


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_every_file_that_is_cut_short_is_told_at_a_byte_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(json_lists, "PIECE", piece)
    text = json.dumps({"a": [1, "bé", {"c": [None, 2.5]}], "d": "e"})
    path = tmp_path / "a.json"
    for length in range(len(text)):
        path.write_text(text[:length])
        with pytest.raises(NotJsonError, match=r" at byte \d+$") as error:
            elements(path)
        assert int(str(error.value).rpartition(" ")[2]) <= length


def test_an_element_is_of_a_bounded_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lists, "PIECE", 100)
    monkeypatch.setattr(json_lists, "LONGEST", 1000)
    path = tmp_path / "a.json"
    for text in ('"' + "x" * 5000 + '"', "[" + "1," * 3000 + "1]", '{"a": [' + "9" * 4000 + "]}"):
        path.write_text(f'{{"list": [{text}]}}')
        with pytest.raises(NotJsonError, match=r"An element of more than 1000 bytes at byte 10"):
            elements(path)
    path.write_text(json.dumps({"list": ["x" * 700] * 20}))
    assert len(elements(path)) == 21


def test_what_is_wrong_is_told_without_reading_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lists, "PIECE", 100)
    path = tmp_path / "a.json"
    path.write_text('{"list": [{"a" 1}' + " " * 10_000)
    read: list[int] = []

    class Counted(LocalFile):
        def read_at(self, offset: int, size: int) -> bytes:
            read.append(size)
            return super().read_at(offset, size)

    with pytest.raises(NotJsonError, match="Expecting ':' delimiter at byte 15"):
        list(list_elements(Counted(path), path.stat().st_size, name="x"))
    assert sum(read) <= 300


def test_a_file_that_shrinks_meanwhile_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1')
    with pytest.raises(ValueError, match=r"^x: truncated"):
        list(list_elements(LocalFile(path), 1000, name="x"))
