"""Editing a mask by maximum certainty: every click has its own map, and the surest one wins.

A map holds logits and is positive on what its click stands for: for a positive click the object,
for a negative one the region to remove. Sureness is |logit|: a float32 sigmoid saturates at 17.
"""

import numpy as np
from jaxtyping import Bool, Float

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
    """
    if rule not in RULES:
        raise ValueError(f"editing rule {rule!r} is unknown; choose one of {', '.join(RULES)}")
    if np.isnan(logits).any():
        raise ValueError("a click's map holds values that are not numbers; was the model trained?")
    mask = np.zeros(logits.shape[1:], bool) if start is None else start.copy()
    wanted, removed = logits[positive], logits[~positive]
    if rule == "claims":
        inside, outside = _strongest(wanted), _strongest(removed)
    else:
        inside = np.maximum(_strongest(wanted), _strongest(-removed))
        outside = np.maximum(_strongest(-wanted), _strongest(removed))
    mask[inside > outside] = True
    mask[(outside >= inside) & (outside > 0)] = False
    return mask


def _strongest(logits: Float[np.ndarray, "k h w"]) -> Float[np.ndarray, "h w"]:
    """Return the largest logit above 0 at each pixel, 0 where there is none."""
    return logits.max(axis=0, initial=0)
