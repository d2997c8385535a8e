"""Editing a mask by maximum certainty: every click has its own map, and the surest one wins.

A map holds logits and is positive on what its click stands for: for a positive click the object,
for a negative one the region to remove. Sureness is |logit|: a float32 sigmoid saturates at 17.
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
    """Return the mask that the clicks' maps describe; their order does not matter.

    With the rule "claims" a click claims the pixels where its logit is above 0, for or against the
    object; the surest claim wins, an exact tie going to the negative; what nobody claims is
    background, or as in `start`. One more click therefore changes nothing outside its claim.
    With "largest" the largest |logit| of all maps decides, claim or not, a tie again against the
    object: two clicks on two parts veto each other, and a negative click switches on what its map
    is sure not to be the thing to remove. It is there to be compared with.

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
    """Return what `combine_clicks` does of maps in [0, 1], cut at 1/2; 0 and 1 are quite sure.

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
    """Return log p - log(1 - p) in double, which tells all float32 apart; infinite at 0 and 1.

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
    """The surest claim for and against the object at each pixel: two maps, however many clicks.

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
        """Take one more click's map."""
        if np.isnan(logits).any():
            raise ValueError("a click's map holds values that are not numbers; is it trained?")
        towards, against = self._inside, self._outside
        if not positive:
            towards, against = against, towards
        np.maximum(towards, logits, out=towards)
        if self._rule == "largest":
            np.maximum(against, -logits, out=against)

    def mask(self, start: Bool[np.ndarray, "h w"] | None = None) -> Bool[np.ndarray, "h w"]:
        """Return the mask: where nothing is claimed that of `start`, which is not written to."""
        mask = np.zeros(self._inside.shape, bool) if start is None else start.copy()
        mask[self._inside > self._outside] = True
        mask[(self._outside >= self._inside) & (self._outside > 0)] = False
        return mask
