"""Soft Dice of the maps of instances as a line through the errors: its slopes, and what is left.

Input: errors of each map, phi outside of the instance and 1 - phi inside, true and known pixels.
Idea: the cost is a quotient of two sums, so that two passes give its value and its gradient.
Steps: sum phi over the instance and phi^2 over all (`_sums`); write the slope of each error and
    what the slopes times the errors come to (`_write_tangent`).
Cost: two passes over each map, with vector instructions.
"""

import numpy as np
from jaxtyping import Bool, Float32, Float64

from maskspace.kernels.compiled import compiled, vectorised


@compiled
def dice_tangents(
    errors: Float32[np.ndarray, "n p"],
    true: Bool[np.ndarray, "n p"],
    known: Bool[np.ndarray, "1 p"],
    slopes: Float32[np.ndarray, "n p"],
) -> Float64[np.ndarray, " n"]:
    """Write the slopes of `dice` by errors: 1 - phi where `true`, phi elsewhere.

    Returns by how much each cost is more than the sum of slopes times errors.

    Example:
        >>> true, known = np.array([[True, False]]), np.array([[True, True]])
        >>> errors = np.array([[0.5, 0.5]], np.float32)  # phi is 1/2 at both pixels
        >>> slopes = np.zeros_like(errors)
        >>> rest = dice_tangents(errors, true, known, slopes)
        >>> round(rest.item() + (slopes * errors).sum().item(), 6)  # 1 - (1 + 1) / (0.5 + 1 + 1)
        0.2
    """
    rests = np.empty(len(errors))
    for row in range(len(errors)):
        number, own, squares = _sums(errors[row], true[row], known[0])
        shared, total = 2 * own + 1, squares + number + 1
        by_phi = np.float32(2 / total), np.float32(2 * shared / total**2)
        linear = _write_tangent(errors[row], true[row], known[0], *by_phi, slopes[row])
        rests[row] = 1 - shared / total - linear
    return rests


@vectorised
def _sums(
    errors: Float32[np.ndarray, " p"], true: Bool[np.ndarray, " p"], known: Bool[np.ndarray, " p"]
) -> tuple[float, float, float]:
    """Return how many pixels are true, the sum of phi over them, and that of phi^2 over all."""
    number = own = squares = 0.0
    for p in range(len(errors)):
        hit = true[p]
        phi = np.float32(1) - errors[p] if hit else errors[p]
        number += 1.0 if hit else 0.0
        own += phi if hit else np.float32(0)
        squares += phi * phi if known[p] else np.float32(0)
    return number, float(own), float(squares)


@vectorised
def _write_tangent(
    errors: Float32[np.ndarray, " p"],
    true: Bool[np.ndarray, " p"],
    known: Bool[np.ndarray, " p"],
    inside: np.float32,
    everywhere: np.float32,
    slopes: Float32[np.ndarray, " p"],
) -> float:
    """Write the slopes by errors, `everywhere` phi - `inside` by phi; return their sum times them.

    phi falls where the error of a true pixel grows.
    """
    linear = 0.0
    for p in range(len(errors)):
        hit, error = true[p], errors[p]
        phi = np.float32(1) - error if hit else error
        slope = inside - everywhere * phi if hit else everywhere * phi
        slope = slope if known[p] else np.float32(0)
        slopes[p] = slope
        linear += slope * error
    return linear
