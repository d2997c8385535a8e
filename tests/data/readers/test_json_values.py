import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskspace.data.readers.json_values import flag_of, identity_of, number_of, whole_of


@given(st.integers(-(2**50), 2**50))
def test_a_whole_number_is_the_same_in_every_way_of_writing_it(number: int) -> None:
    for said in (number, float(number), f"{number}", f" {number} ", f"{number}.0"):
        assert whole_of(said, what="x") == number
        assert number_of(said, what="x") == float(number)
        assert identity_of(said, what="x") == number


@pytest.mark.parametrize("said", [0, 0.0, False, None, "0", "0.0", "False", "no", "", "null"])
def test_what_is_no_flag(said: object) -> None:
    assert flag_of(said, what="iscrowd") is False


@pytest.mark.parametrize("said", [1, 1.0, True, "1", "1.0", "true", "YES"])
def test_what_is_a_flag(said: object) -> None:
    assert flag_of(said, what="iscrowd") is True


@pytest.mark.parametrize("said", [2, -1, "maybe", [], {}, "10"])
def test_what_could_be_either_is_told(said: object) -> None:
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        flag_of(said, what="iscrowd")


@pytest.mark.parametrize("said", ["007", "a", "1e3", "1.5", "é"])
def test_a_text_that_is_no_plain_number_is_an_id_of_its_own(said: str) -> None:
    assert identity_of(said, what="id") == said


@pytest.mark.parametrize("said", [None, True, "", 1.5, float("nan"), [], {}])
def test_what_is_no_id_is_told(said: object) -> None:
    with pytest.raises(ValueError, match="id"):
        identity_of(said, what="id")


@pytest.mark.parametrize("said", [True, "x", [], float("nan"), float("inf"), 2**60, "9" * 5000])
def test_what_is_no_number_is_told_shortly(said: object) -> None:
    with pytest.raises(ValueError, match="no number") as error:
        number_of(said, what="area")
    assert len(str(error.value)) < 100
