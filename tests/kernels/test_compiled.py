import numpy as np
from beartype import beartype
from jaxtyping import Float32, Int64, jaxtyped

from maskspace.kernels.compiled import compiled, vectorised


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


def inverses(numbers: Float32[np.ndarray, " p"]) -> np.float32:
    found = np.float32(0)
    for number in numbers:
        found += np.float32(1) / number
    return found


def test_many_numbers_at_once_are_as_safe():
    loop = vectorised(inverses)
    powers = np.float32(2) ** -np.arange(20, dtype=np.float32)
    assert loop(powers) == 2**20 - 1
    assert loop(np.zeros(9, np.float32)) == np.inf
    assert np.isnan(loop(np.array([1, np.nan, np.inf] * 9, np.float32)))
