"""What random numbers are drawn for: one table, so that no two uses share a stream.

A generator is made of a key: the seed, the use, and where in the data it is asked for. The same key
gives the same numbers in any process, in whatever order the generators are made.
"""

from enum import IntEnum

import numpy as np

_LENGTH = 5  # numpy reads a short key as one that ends in zeros: all keys have one length


class Use(IntEnum):
    """The uses; a number that is given once stays, since data and trainings follow from it.

    RECTANGLES, MOSAICS, SCENES: what a generated image shows.
    BLOCKS: the order of the blocks of a dataset in a pass.
    WINDOW: the order of the samples of some neighbouring blocks.
    INTERLEAVE: whose turn it is in a mixture of datasets.
    CROP: the window of a sample, its flip and colours, and what is drawn from its masks.
    REPLACE: which sample stands in for one that is corrupt or of no use.
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
    """Return the generator of a use at a place, such as (epoch, position): up to three numbers.

    Example:
        >>> one, other = (generator(Use.CROP, 0, 3) for _ in range(2))
        >>> one.random() == other.random()
        True
    """
    key = (seed, int(use), *place)
    return np.random.default_rng(key + (0,) * (_LENGTH - len(key)))


def image_generator(use: Use, seed: int, index: int) -> np.random.Generator:
    """Return the generator of a generated image; its key is that of the datasets so far.

    Example:
        >>> one, other = (image_generator(Use.SCENES, 0, 5) for _ in range(2))
        >>> one.random() == other.random()
        True
    """
    return np.random.default_rng((seed, index, int(use)))
