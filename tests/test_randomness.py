"""Every use has a stream of its own, the same wherever and whenever it is asked for."""

from itertools import product

import numpy as np

from maskspace.data import READERS
from maskspace.randomness import Use, generator, image_generator


def numbers(drawn: np.random.Generator) -> tuple[int, ...]:
    return tuple(drawn.integers(2**60, size=3).tolist())


def test_no_two_uses_seeds_or_places_share_a_stream():
    places = [(use, seed, *place) for use, seed in product(Use, (0, 1)) for place in ((1,), (2,))]
    places += [(use, 0, 1, 1) for use in Use] + [(use, 0, 1, 0, 1) for use in Use]
    streams = {numbers(generator(*place)) for place in places}
    assert len(streams) == len(places)
    assert numbers(generator(Use.CROP, 5, 6)) == numbers(generator(Use.CROP, 5, 6))


def test_generated_images_of_different_kinds_do_not_share_theirs():
    drawn = {numbers(image_generator(use, 0, 7)) for use in Use}
    assert len(drawn) == len(Use)
    first, again = (READERS["rectangles"]("", seed=3, limit=2)[1] for _ in range(2))
    assert first == again
