"""Editing a mask by maximum certainty: every click has its own map, and the surest one wins.

A map holds logits and is positive where its click means it: for a positive click on the object, for
a negative one on the region to remove. Sureness is |logit|: it still differs where a float32
sigmoid is already 1, above 17.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64
from numpy.typing import DTypeLike

RULES = ("claims", "largest")


def combine_clicks(
    logits: Float[np.ndarray, "k h w"],
    positive: Bool[np.ndarray, " k"],
    *,
    start: Bool[np.ndarray, "h w"] | None = None,
    rule: str = "claims",
) -> Bool[np.ndarray, "h w"]:
    """Return the mask that the clicks' maps describe; the order of the clicks does not matter.

    Rule "claims": a click claims the pixels where its logit is above 0, for the object or against
    it. The surest claim wins, a negative one on an exact tie. A pixel that nobody claims is as in
    `start`. So one more click changes nothing outside of its claim. Rule "largest": the largest
    |logit| of all maps wins, claim or not, the negative side on a tie. It is there for comparison
    only: two clicks on two parts veto each other, and a negative click adds pixels that its map is
    sure not to be the region to remove.

    Args:
        logits: a map for each click.
        positive: True for a positive click.
        start: the mask that the clicks correct (default None: an empty mask).
        rule: "claims" or "largest" (default "claims").

    Raises ValueError for an unknown rule and for maps with values that are not numbers.

    Example:
        >>> logits = np.array([[[3.0, 2.0, -1.0]], [[-2.0, 5.0, 1.0]]])
        >>> combine_clicks(logits, np.array([True, False])).astype(int).tolist()
        [[1, 0, 0]]
    """
    surest = SurestClaims((logits.shape[1], logits.shape[2]), rule=rule, dtype=logits.dtype)
    for one, sign in zip(logits, positive.tolist(), strict=True):
        surest.add(one, positive=sign)
    return surest.mask(start)


def combine_probabilities(
    probabilities: Float[np.ndarray, "k h w"],
    positive: Bool[np.ndarray, " k"],
    *,
    start: Bool[np.ndarray, "h w"] | None = None,
    rule: str = "claims",
) -> Bool[np.ndarray, "h w"]:
    """Return what `combine_clicks` returns, given maps of probabilities in [0, 1].

    They are cut at 1/2; 0 and 1 are quite sure.

    Args:
        probabilities: a map for each click.
        positive: True for a positive click.
        start: the mask that the clicks correct (default None: an empty mask).
        rule: "claims" or "largest" (default "claims").

    Raises ValueError for an unknown rule and for values outside of [0, 1].

    Example:
        >>> maps = np.array([[[0.9, 0.8, 0.1]], [[0.1, 1.0, 0.2]]])
        >>> combine_probabilities(maps, np.array([True, False])).astype(int).tolist()
        [[1, 0, 0]]
    """
    surest = SurestClaims((probabilities.shape[1], probabilities.shape[2]), rule=rule)
    for one, sign in zip(probabilities, positive.tolist(), strict=True):
        surest.add(logit(one), positive=sign)
    return surest.mask(start)


def logit(probability: Float[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """Return log p - log(1 - p) in double precision; infinite at 0 and 1.

    Double precision tells all float32 probabilities apart. Raises ValueError outside of [0, 1].

    Example:
        >>> logit(np.array([0.0, 0.5, 1.0])).tolist()
        [-inf, 0.0, inf]
    """
    outside = (probability < 0) | (probability > 1)
    if outside.any():
        raise ValueError(f"a probability is in [0, 1]; got {probability[outside].flat[0]}")
    wide = probability.astype(np.float64)
    with np.errstate(divide="ignore"):
        return np.log(wide) - np.log1p(-wide)


class SurestClaims:
    """The surest claim for and against the object at each pixel: two maps for any number of clicks.

    Args:
        size_hw: rows and columns of the maps.
        rule: as in `combine_clicks` (default "claims").
        dtype: of the two maps (default float64).

    Example:
        >>> claims = SurestClaims((1, 3))
        >>> claims.add(np.array([[3.0, 2.0, -1.0]]), positive=True)
        >>> claims.add(np.array([[-2.0, 5.0, 1.0]]), positive=False)
        >>> claims.mask().astype(int).tolist()
        [[1, 0, 0]]
    """

    def __init__(
        self, size_hw: tuple[int, int], *, rule: str = "claims", dtype: DTypeLike = np.float64
    ) -> None:
        if rule not in RULES:
            raise ValueError(f"editing rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
        self._rule = rule
        self._inside, self._outside = np.zeros((2, *size_hw), dtype)

    def add(self, logits: Float[np.ndarray, "h w"], *, positive: bool) -> None:
        """Add the map of one more click; `positive` is True for a click on the object."""
        if np.isnan(logits).any():
            raise ValueError("a click's map holds values that are not numbers; is it trained?")
        towards, against = self._inside, self._outside
        if not positive:
            towards, against = against, towards
        np.maximum(towards, logits, out=towards)
        if self._rule == "largest":
            np.maximum(against, -logits, out=against)

    def mask(self, start: Bool[np.ndarray, "h w"] | None = None) -> Bool[np.ndarray, "h w"]:
        """Return the mask; where nothing is claimed it is as in `start`, which is not changed."""
        mask = np.zeros(self._inside.shape, bool) if start is None else start.copy()
        mask[self._inside > self._outside] = True
        mask[(self._outside >= self._inside) & (self._outside > 0)] = False
        return mask
