"""Numbers, flags and ids in JSON as tools write them: also as text, and whole ones with a point.

None and "" stand for a missing value. `what` is the name of the field in errors. Each function
raises ValueError, without the name of a file, for a value that cannot be meant.
"""

import math
import re

_MOST_DIGITS = 40
_NO, _YES = ("0", "0.0", "false", "no", "none", "null", "nan", ""), ("1", "1.0", "true", "yes")


def number_of(value: object, *, what: str) -> float | None:
    """Return a finite number, also where it is written as text; None where it is missing.

    Args:
        value: as `json.loads` returns it.
        what: the name of the field in errors.

    Raises ValueError for what is no number, or 2**53 and more.

    Example:
        >>> number_of("0.5", what="score"), number_of("", what="score")
        (0.5, None)
    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise ValueError(f"`{what}` is {value!r:.40}, no number")
    return float(value)


def _parsed(text: str) -> object:
    if not text:
        return None
    try:
        return float(text) if len(text) <= _MOST_DIGITS else text
    except ValueError:
        return text


def whole_of(value: object, *, what: str) -> int | None:
    """Return a whole number, also from 40.0 or "40"; None where it is missing.

    Args:
        value: as `json.loads` returns it.
        what: the name of the field in errors.

    Raises ValueError for what is no whole number.

    Example:
        >>> whole_of(40.0, what="width"), whole_of("40", what="width"), whole_of(None, what="width")
        (40, 40, None)
    """
    number = number_of(value, what=what)
    if number is None:
        return None
    if number != math.floor(number):
        raise ValueError(f"`{what}` is {value!r:.40}, no whole number")
    return int(number)


def flag_of(value: object, *, what: str) -> bool:
    """Return a flag: from 0 or 1, from false or true, also as text; False where it is missing.

    Args:
        value: as `json.loads` returns it.
        what: the name of the field in errors.

    Raises ValueError for anything else.

    Example:
        >>> flag_of("1", what="iscrowd"), flag_of(None, what="iscrowd")
        (True, False)
    """
    if value is None:
        return False
    text = str(value).strip().lower()
    if text not in _NO and text not in _YES:
        raise ValueError(f"`{what}` is {value!r:.40}, neither 0 nor 1")
    return text in _YES


def identity_of(value: object, *, what: str) -> int | str:
    """Return an id: a whole number, also from 1.0 or "1", or a text as it is.

    Args:
        value: as `json.loads` returns it.
        what: the name of the field in errors.

    Raises ValueError for a missing id and for a number that is not whole.

    Example:
        >>> identity_of("1", what="id"), identity_of("photo-7", what="id")
        (1, 'photo-7')
    """
    if isinstance(value, str) and value.strip():
        text = value.strip()
        is_number = len(text) <= _MOST_DIGITS and re.fullmatch(r"(0|-?[1-9]\d*)(\.0+)?", text)
        return int(text.partition(".")[0]) if is_number else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"no `{what}` (whole number or text)")
    if isinstance(value, float) and not (math.isfinite(value) and value == math.floor(value)):
        raise ValueError(f"`{what}` is {value!r:.40}, no whole number")
    return int(value)
