import pytest

from maskspace.evaluation.asking import Asked, Refusal


def refuse():
    raise ValueError("not this")


def test_a_refusal_is_kept_with_its_reason_and_every_answer_takes_time():
    asked = Asked()
    assert asked.ask("a", lambda: 3) == 3
    first = asked.seconds
    assert first > 0
    assert asked.ask("b", refuse) is None
    assert asked.not_answered == {"b": "not this"}
    assert asked.seconds > first
    with pytest.raises(Refusal, match="not this"):
        asked.answer(refuse)


def test_a_defect_is_no_refusal():
    with pytest.raises(ZeroDivisionError):
        Asked().ask("c", lambda: 1 / 0)
