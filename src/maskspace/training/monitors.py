"""Is the output still saying something? Spread of the features, and a verdict on collapse."""

import torch
from jaxtyping import Float
from torch import Tensor


def feature_std(embedding: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the standard deviation over the pixels of an image, averaged over channels and images.

    For colours in [0, 1] it is at most 0.5; 0 is a constant output.
    """
    return embedding.float().flatten(2).std(dim=2, correction=0).mean()


def collapse_verdict(std: float, *, floor: float = 1e-3) -> str | None:
    """Return why the features count as collapsed, or None.

    A constant output fulfils every pull term and is a stationary point of every push term, so no
    loss value shows it by itself.
    """
    if std >= floor:
        return None
    return (
        f"collapsed: the features vary by {std:.1e} within an image (below {floor:.0e}), "
        "a constant output; raise the push, the learning rate, or change the objective"
    )


def mean_terms(rows: list[dict[str, Tensor]]) -> dict[str, float]:
    """Return the mean of each term over steps; only here training waits for the device."""
    return {name: float(torch.stack([row[name] for row in rows]).mean()) for name in rows[0]}
