"""The uses of random numbers: one table, so that no two uses share a stream.

A generator is made from a key: the seed, the use, and the place in the data. The same key gives the
same numbers in any process and in any order.
"""

from enum import IntEnum

import numpy as np

_LENGTH = 5  # numpy reads a short key as one that ends in zeros: all keys have one length


class Use(IntEnum):
    """The uses. A number never changes, because data and trainings depend on it.

    RECTANGLES, MOSAICS, SCENES: the content of a generated image.
    BLOCKS: the order of the blocks of a dataset in a pass.
    WINDOW: the order of the samples of some neighbouring blocks.
    INTERLEAVE: the order of the datasets in a mixture.
    CROP: the window of a sample, its flip and colours, and what is drawn from its masks.
    REPLACE: the sample that replaces a corrupt or useless one.
    COLOUR: the colours of an image of a batch.

    Example:
        >>> generator(Use.CROP, 0).random() == generator(Use.COLOUR, 0).random()
        False
    """

    RECTANGLES = 1
    MOSAICS = 2
    SCENES = 3
    CROP = 11
    REPLACE = 12
    BLOCKS = 13
    WINDOW = 14
    INTERLEAVE = 15
    COLOUR = 21


def generator(use: Use, seed: int, *place: int) -> np.random.Generator:
    """Return the generator of a use at a place.

    Args:
        use: what the numbers are drawn for.
        seed: the seed.
        place: up to three numbers that say where, such as epoch and position.

    Example:
        >>> one, other = (generator(Use.CROP, 0, 3) for _ in range(2))
        >>> one.random() == other.random()
        True
    """
    key = (seed, int(use), *place)
    return np.random.default_rng(key + (0,) * (_LENGTH - len(key)))


def image_generator(use: Use, seed: int, index: int) -> np.random.Generator:
    """Return the generator of a generated image; its key is the one of all datasets so far.

    Example:
        >>> one, other = (image_generator(Use.SCENES, 0, 5) for _ in range(2))
        >>> one.random() == other.random()
        True
    """
    return np.random.default_rng((seed, index, int(use)))
