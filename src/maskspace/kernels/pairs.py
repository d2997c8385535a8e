"""Costs of every pixel with every instance, and their gradients: single precision, on the CPU.

Input: pixels as vectors, one of each instance (its mean or centre), and which pixels are whose.
Idea: a pair is a few numbers in registers, where operations on tensors write and read it a dozen
    times; as the costs are summed, the gradient of a pair is known while it is there.
Steps: for each block of pixels and each instance: squared distances over the channels; the cost of
    each and what it weighs in the gradient, in place; add to the gradients of pixels and instances.
Cost: pixels times instances times channels, twice; memory of one block of a few thousand values,
    that stays in the cache. The same in torch, by tiles: `objectives.tiles`.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from maskspace.kernels.compiled import compiled, vectorised

#: Values of a block of pixels over all channels, and the least number of its pixels.
_VALUES, _PIXELS = 8192, 512
#: The slots of pixels that are no instance's, and of those that are left out.
NOBODY, NOWHERE = -1, -2
#: From where exp(-x) is 0: the number would not be a normal one, which takes a hundred times long.
_NOTHING = np.float32(87.0)


@compiled
def costs_of_others(
    pixels: Float32[np.ndarray, "c p"],
    slot: Int32[np.ndarray, " p"],
    means: Float32[np.ndarray, "n c"],
    weight: Float32[np.ndarray, " n"],
    line: tuple[np.float32, np.float32, np.float32],
    epsilon: np.float32,
    by_pixel: Float32[np.ndarray, "c p"],
    by_mean: Float64[np.ndarray, "n c"],
) -> float:
    """Return sum_n weight_n sum_{p: slot_p != n} f(d_pn), and add its gradients.

    `line` is start, slope and reach of f: start + slope d below the reach, 0 from there. d^2 is at
    least `epsilon`, where it is that without a gradient; pixels whose slot is NOWHERE are left out.

    Example:
        >>> pixels, slot = np.array([[0.0, 3.0]], np.float32), np.array([0, NOBODY], np.int32)
        >>> means, weight = np.zeros((1, 1), np.float32), np.ones(1, np.float32)
        >>> by_pixel, by_mean = np.zeros_like(pixels), np.zeros((1, 1))
        >>> hinge = tuple(np.float32(x) for x in (5, -1, 5))  # 5 - d up to a distance of 5
        >>> epsilon = np.float32(1e-12)
        >>> costs_of_others(pixels, slot, means, weight, hinge, epsilon, by_pixel, by_mean)
        2.0
        >>> by_pixel.round(3).tolist()  # farther away is cheaper
        [[0.0, -1.0]]
    """
    channels, number = pixels.shape
    size = max(_PIXELS, _VALUES // max(1, channels))
    squared = np.empty(size, np.float32)
    even, unused = np.ones(channels, np.float32), np.empty(channels, np.float64)
    total = 0.0
    for first in range(0, number, size):
        here = slice(first, min(first + size, number))
        slopes = squared[: here.stop - here.start]
        for n in range(len(means)):
            if weight[n] == 0:
                continue
            _squared_distances(pixels, first, means[n], even, slopes)
            cost = _line(slopes, slot[here], np.int32(n), weight[n], *line, epsilon)
            total += weight[n] * cost
            _add_gradients(pixels, first, means[n], even, slopes, by_pixel, by_mean[n], unused)
    return total


@vectorised
def _line(
    squared: Float32[np.ndarray, " p"],
    slot: Int32[np.ndarray, " p"],
    column: np.int32,
    weight: np.float32,
    start: np.float32,
    slope: np.float32,
    reach: np.float32,
    epsilon: np.float32,
) -> np.float32:
    """Return the sum of start + slope d below `reach`, and of 0 from there.

    The squared distances become what they weigh in its gradient, times `weight`.
    """
    total = np.float32(0)
    for p in range(len(squared)):
        square = squared[p]
        none = square <= epsilon  # compared so that NaN is passed on
        distance = np.sqrt(epsilon if none else square)
        out = (distance >= reach) | (slot[p] == column) | (slot[p] == NOWHERE)
        total += np.float32(0) if out else start + slope * distance
        half = np.float32(0.5) * weight * slope / distance
        squared[p] = np.float32(0) if out | none else half
    return total


@compiled
def gaussian_errors(
    pixels: Float32[np.ndarray, "c p"],
    slot: Int32[np.ndarray, " p"],
    columns: Int64[np.ndarray, " n"],
    centres: Float32[np.ndarray, "n c"],
    sharpness: Float32[np.ndarray, "n c"],
    errors: Float32[np.ndarray, "n p"],
    true: Bool[np.ndarray, "n p"],
) -> None:
    """Write phi, 1 - phi where `true`: phi = exp(-sum_c sharpness_nc (x_pc - centre_nc)^2).

    True is where the slot is the instance's column.

    Example:
        >>> pixels = np.array([[0.0, 0.0, 9.0]], np.float32)
        >>> slot = np.array([0, NOBODY, NOBODY], np.int32)
        >>> gaussian = np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)  # centre 0
        >>> errors, true = np.zeros((1, 3), np.float32), np.zeros((1, 3), bool)
        >>> gaussian_errors(pixels, slot, np.array([0]), *gaussian, errors, true)
        >>> errors.round(3).tolist(), true.tolist()
        ([[0.0, 1.0, 0.0]], [[True, False, False]])
    """
    channels, number = pixels.shape
    size = max(_PIXELS, _VALUES // max(1, channels))
    for first in range(0, number, size):
        here = slice(first, min(first + size, number))
        for n in range(len(centres)):
            _squared_distances(pixels, first, centres[n], sharpness[n], errors[n, here])
            _errors(errors[n, here], slot[here], np.int32(columns[n]), true[n, here])


@vectorised
def _errors(
    errors: Float32[np.ndarray, " p"],
    slot: Int32[np.ndarray, " p"],
    column: np.int32,
    true: Bool[np.ndarray, " p"],
) -> None:
    """Overwrite exponents with errors."""
    for p in range(len(errors)):
        phi = _exp_of_minus(errors[p])
        hit = slot[p] == column
        true[p] = hit
        errors[p] = np.float32(1) - phi if hit else phi


@compiled
def _exp_of_minus(x: np.float32) -> np.float32:
    """Return exp(-x) of x >= 0, 0 where it would be no normal number; NaN is passed on."""
    return np.float32(0) if x >= _NOTHING else np.exp(-x)


@compiled
def add_gaussian_gradients(
    pixels: Float32[np.ndarray, "c p"],
    centres: Float32[np.ndarray, "n c"],
    sharpness: Float32[np.ndarray, "n c"],
    weight: Float32[np.ndarray, " n"],
    errors: Float32[np.ndarray, "n p"],
    true: Bool[np.ndarray, "n p"],
    slopes: Float32[np.ndarray, "n p"],
    by_pixel: Float32[np.ndarray, "c p"],
    by_centre: Float64[np.ndarray, "n c"],
    by_sharpness: Float64[np.ndarray, "n c"],
) -> float:
    """Return sum_n weight_n sum_p slopes_np errors_np of `gaussian_errors`; add its gradients.

    Example:
        >>> pixels, errors = np.array([[1.0]], np.float32), np.array([[0.25]], np.float32)
        >>> centre = np.zeros((1, 1), np.float32)
        >>> sharpness, weight = np.ones((2, 1, 1), np.float32)
        >>> by_pixel, by_centre, by_sharpness = np.zeros_like(pixels), *np.zeros((2, 1, 1))
        >>> form = (errors, np.array([[False]]), np.array([[2.0]], np.float32))
        >>> gradients = (by_pixel, by_centre, by_sharpness)
        >>> add_gaussian_gradients(pixels, centre, sharpness, weight[0], *form, *gradients)
        0.5
        >>> by_pixel.item(), by_centre.item()  # opposite: the cost depends on x - centre
        (-1.0, 1.0)
    """
    channels, number = pixels.shape
    size = max(_PIXELS, _VALUES // max(1, channels))
    total = 0.0
    for first in range(0, number, size):
        here = slice(first, min(first + size, number))
        for n in range(len(centres)):
            weighted = slopes[n, here]
            if not _any(weighted):
                continue
            total += weight[n] * _by_exponents(weighted, errors[n, here], true[n, here], weight[n])
            _add_gradients(
                pixels,
                first,
                centres[n],
                sharpness[n],
                weighted,
                by_pixel,
                by_centre[n],
                by_sharpness[n],
            )
    return total


@compiled
def _any(values: Float32[np.ndarray, " p"]) -> bool:
    found = False
    for p in range(len(values)):
        found |= values[p] != 0
    return found


@vectorised
def _by_exponents(
    slopes: Float32[np.ndarray, " p"],
    errors: Float32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    weight: np.float32,
) -> np.float32:
    """Return the sum of slopes times errors; overwrite slopes by those of the exponents."""
    total = np.float32(0)
    for p in range(len(slopes)):
        error, slope = errors[p], slopes[p]
        total += slope * error
        slopes[p] = weight * slope * (np.float32(1) - error if true[p] else -error)
    return total


@vectorised
def _squared_distances(
    pixels: Float32[np.ndarray, "c p"],
    start: int,
    centre: Float32[np.ndarray, " c"],
    sharpness: Float32[np.ndarray, " c"],
    squared: Float32[np.ndarray, " t"],
) -> None:
    """Write sum_c sharpness_c (x_pc - centre_c)^2."""
    squared[:] = 0
    here, odd = slice(start, start + len(squared)), len(pixels) % 2
    for channel in range(odd):
        values, middle, factor = pixels[channel, here], centre[channel], sharpness[channel]
        for p in range(len(squared)):
            away = values[p] - middle
            squared[p] = factor * away * away
    for channel in range(odd, len(pixels), 2):  # two at a time: sums are half as often read
        one, other = pixels[channel, here], pixels[channel + 1, here]
        factor, its = sharpness[channel], sharpness[channel + 1]
        middle, mid = centre[channel], centre[channel + 1]
        for p in range(len(squared)):
            away, off = one[p] - middle, other[p] - mid
            squared[p] += factor * away * away + its * off * off


@vectorised
def _add_gradients(
    pixels: Float32[np.ndarray, "c p"],
    start: int,
    centre: Float32[np.ndarray, " c"],
    sharpness: Float32[np.ndarray, " c"],
    slopes: Float32[np.ndarray, " t"],
    by_pixel: Float32[np.ndarray, "c p"],
    by_centre: Float64[np.ndarray, " c"],
    by_sharpness: Float64[np.ndarray, " c"],
) -> None:
    """Add the gradients of sum_p slopes_p times `_squared_distances`."""
    for channel in range(len(pixels)):
        values = pixels[channel, start : start + len(slopes)]
        to = by_pixel[channel, start : start + len(slopes)]
        middle, factor = centre[channel], np.float32(2) * sharpness[channel]
        first = second = np.float32(0)
        for p in range(len(slopes)):
            away = values[p] - middle
            moment = slopes[p] * away
            first += moment
            second += moment * away
            to[p] += factor * moment
        by_centre[channel] -= factor * first
        by_sharpness[channel] += second
