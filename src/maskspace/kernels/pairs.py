"""Costs of every pixel with every instance, and their gradients: single precision, on the CPU.

Input: vectors of the pixels, one vector of each instance (its mean or centre), and the instance of
    each pixel.
Idea: a pair takes a few numbers in registers, where tensor operations would write and read it a
    dozen times. Costs are summed, so that the gradient of a pair is known while it is computed.
Steps: for each block of pixels and each instance: squared distances over the channels; the cost of
    each pair, and its weight in the gradient, in place; add to the gradients of pixels and
    instances.
Cost: pixels times instances times channels, twice; the memory of one block of a few thousand
    values, which stays in the cache. `objectives.tiles` does the same in torch.
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

    Args:
        pixels: the vectors of the pixels.
        slot: the instance of each pixel; NOBODY for none. Pixels with NOWHERE are left out.
        means: the vector of each instance.
        weight: the weight of each instance.
        line: start, slope and reach of f: f is start + slope d below the reach, and 0 from there.
        epsilon: least value of d^2; a smaller one is set to it and has no gradient.
        by_pixel: the gradients of the pixels are added here.
        by_mean: the gradients of the means are added here.

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
    unit_sharpness, unused = np.ones(channels, np.float32), np.empty(channels, np.float64)
    total = 0.0
    for first in range(0, number, size):
        block = slice(first, min(first + size, number))
        slopes = squared[: block.stop - block.start]
        for n in range(len(means)):
            if weight[n] == 0:
                continue
            _squared_distances(pixels, first, means[n], unit_sharpness, slopes)
            cost = _line(slopes, slot[block], np.int32(n), weight[n], *line, epsilon)
            total += weight[n] * cost
            _add_gradients(
                pixels, first, means[n], unit_sharpness, slopes, by_pixel, by_mean[n], unused
            )
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
    """Return the sum of start + slope d over the pixels with d below `reach`.

    Each squared distance is replaced by its weight in the gradient, times `weight`.
    """
    total = np.float32(0)
    for p in range(len(squared)):
        square = squared[p]
        is_constant = square <= epsilon  # compared so that NaN is passed on
        distance = np.sqrt(epsilon if is_constant else square)
        costs_nothing = (distance >= reach) | (slot[p] == column) | (slot[p] == NOWHERE)
        total += np.float32(0) if costs_nothing else start + slope * distance
        gradient_weight = np.float32(0.5) * weight * slope / distance
        squared[p] = np.float32(0) if costs_nothing | is_constant else gradient_weight
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
    """Write phi where a pixel is not the instance's, 1 - phi where it is.

    phi_np = exp(-sum_c sharpness_nc (x_pc - centre_nc)^2). A pixel is the instance's, `true`, if
    its slot is the instance's column.

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
        block = slice(first, min(first + size, number))
        for n in range(len(centres)):
            _squared_distances(pixels, first, centres[n], sharpness[n], errors[n, block])
            _errors(errors[n, block], slot[block], np.int32(columns[n]), true[n, block])


@vectorised
def _errors(
    errors: Float32[np.ndarray, " p"],
    slot: Int32[np.ndarray, " p"],
    column: np.int32,
    true: Bool[np.ndarray, " p"],
) -> None:
    """Replace exponents by errors."""
    for p in range(len(errors)):
        phi = _exp_of_minus(errors[p])
        hit = slot[p] == column
        true[p] = hit
        errors[p] = np.float32(1) - phi if hit else phi


@compiled
def _exp_of_minus(x: np.float32) -> np.float32:
    """Return exp(-x) of x >= 0; 0 where it would be no normal number. NaN is passed on."""
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
        block = slice(first, min(first + size, number))
        for n in range(len(centres)):
            weighted = slopes[n, block]
            if not _any(weighted):
                continue
            total += weight[n] * _by_exponents(
                weighted, errors[n, block], true[n, block], weight[n]
            )
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
    is_any = False
    for p in range(len(values)):
        is_any |= values[p] != 0
    return is_any


@vectorised
def _by_exponents(
    slopes: Float32[np.ndarray, " p"],
    errors: Float32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    weight: np.float32,
) -> np.float32:
    """Return the sum of slopes times errors; replace slopes by those of the exponents."""
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
    block, num_single = slice(start, start + len(squared)), len(pixels) % 2
    for channel in range(num_single):
        values, middle, factor = pixels[channel, block], centre[channel], sharpness[channel]
        for p in range(len(squared)):
            away = values[p] - middle
            squared[p] = factor * away * away
    for channel in range(num_single, len(pixels), 2):  # two at a time: sums are half as often read
        values, next_values = pixels[channel, block], pixels[channel + 1, block]
        factor, next_factor = sharpness[channel], sharpness[channel + 1]
        middle, next_middle = centre[channel], centre[channel + 1]
        for p in range(len(squared)):
            away, next_away = values[p] - middle, next_values[p] - next_middle
            squared[p] += factor * away * away + next_factor * next_away * next_away


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
        gradient = by_pixel[channel, start : start + len(slopes)]
        middle, factor = centre[channel], np.float32(2) * sharpness[channel]
        sum_of_moments = sum_of_squares = np.float32(0)
        for p in range(len(slopes)):
            away = values[p] - middle
            moment = slopes[p] * away
            sum_of_moments += moment
            sum_of_squares += moment * away
            gradient[p] += factor * moment
        by_centre[channel] -= factor * sum_of_moments
        by_sharpness[channel] += sum_of_squares
