import numpy as np
from beartype import beartype
from jaxtyping import Int64, jaxtyped

from maskspace.compiled import compiled


def total(numbers: Int64[np.ndarray, " p"]) -> int:
    found = 0
    for number in numbers:
        found += number
    return found


def test_is_compiled_under_the_checks_of_types_too():
    for function in (total, jaxtyped(total, typechecker=beartype)):
        loop = compiled(function)
        assert loop(np.arange(5)) == 10
        assert loop.nopython_signatures


def test_what_cannot_be_kept_is_compiled_all_the_same():
    names = {}
    exec("def double(number):\n    return 2 * number", names)  # of no file
    assert compiled(names["double"])(21) == 42
