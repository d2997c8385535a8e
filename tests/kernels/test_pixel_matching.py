import numpy as np

from maskspace.kernels.pixel_matching import match_pixels

STEPS = np.array([[0, 0], [0, -1], [0, 1]])


def partners(predicted, true):
    pixels = np.stack(np.nonzero(np.atleast_2d(predicted)), axis=1)
    numbers = np.where(true, np.cumsum(true) - 1, -1).astype(np.int32)[None]
    found = np.full(len(pixels), 7)
    match_pixels(pixels, numbers, STEPS, found)
    return found.tolist()


def test_a_chain_of_pixels_moves_along_so_that_one_more_has_a_partner():
    assert partners([1, 1, 1, 0], [0, 1, 1, 1]) == [0, 1, 2]


def test_partners_are_different_and_near_and_nothing_is_written_elsewhere():
    generator = np.random.default_rng(0)
    predicted, true = generator.random((2, 60)) < 0.5
    found = np.array(partners(predicted, true))
    paired = found >= 0
    assert len(set(found[paired])) == paired.sum()
    places = np.flatnonzero(true)[found[paired]]
    assert (np.abs(places - np.flatnonzero(predicted)[paired]) <= 1).all()


def test_no_pixels_have_no_partners():
    assert partners([0, 0], [1, 0]) == [] and partners([1, 0], [0, 0]) == [-1]
