from pathlib import Path

import pytest

from maskspace.config import Choice, choose, load_section, lookup, read_params, section


@section
class Inner:
    rate: float
    sizes: tuple[int, ...]


@section
class Outer:
    name: str
    limit: int | None
    inner: Inner
    choice: Choice

    def __post_init__(self) -> None:
        if self.limit == 0:
            raise ValueError("limit must not be 0")


GOOD = """
outer:
  name: a
  limit: null
  inner: {rate: 1.0e-3, sizes: [1, 2]}
  choice: {name: twice, options: {factor: 3}}
"""


def load(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return load_section(Outer, "outer", path=path)


def test_a_section_is_what_the_file_says(tmp_path):
    outer = load(tmp_path, GOOD)
    assert outer.inner == Inner(rate=1e-3, sizes=(1, 2))
    assert outer.limit is None
    with pytest.raises(AttributeError):
        outer.name = "b"  # pyright: ignore


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("rate: 1.0e-3", "rat: 1.0e-3", "outer.inner.rat"),
        ("name: a", "name: 3", "outer.name"),
        ("sizes: [1, 2]", "sizes: [1, two]", "outer.inner.sizes.1"),
        ("sizes: [1, 2]", "sizes: 2", "outer.inner.sizes"),
        ("limit: null", "limit: '5'", "outer.limit"),
        ("limit: null", "limit: 1.5", "outer.limit"),
        ("limit: null", "limit: 0", "limit must not be 0"),
        ("  limit: null\n", "", "outer.limit: missing"),
        ("  name: a", "  name: a\n  extra: 1", "outer.extra: unknown key"),
        ("outer:", "other:", "outer: missing"),
        ("name: a", "name: [", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_told_in_one_line_with_its_key(tmp_path, old, new, place):
    with pytest.raises(ValueError, match=r"params\.yaml: ") as error:
        load(tmp_path, GOOD.replace(old, new))
    assert place in str(error.value)
    assert "\n" not in str(error.value)


def test_an_absent_or_empty_file_is_told(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        read_params(tmp_path / "params.yaml")
    with pytest.raises(ValueError, match="expected a mapping"):
        load(tmp_path, "")


def twice(value: int, *, factor: int = 2) -> int:
    return value * factor


def test_a_choice_binds_the_options_of_the_signature():
    table = {"twice": twice}
    assert choose(table, Choice(name="twice", options={"factor": 3}), kind="rule")(5) == 15
    assert choose(table, Choice(name="twice", options={}), kind="rule")(5) == 10
    with pytest.raises(ValueError, match="rule 'thrice' is unknown; choose one of twice"):
        choose(table, Choice(name="thrice", options={}), kind="rule")
    with pytest.raises(ValueError, match="unknown option 'speed'; it takes factor"):
        choose(table, Choice(name="twice", options={"speed": 1}), kind="rule")
    with pytest.raises(ValueError, match=r"option factor: .*; got 'x'"):
        choose(table, Choice(name="twice", options={"factor": "x"}), kind="rule")
    assert lookup(table, "twice", kind="rule") is twice
