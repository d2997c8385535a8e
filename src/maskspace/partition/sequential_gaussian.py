"""One instance after another, each the Gaussian around the surest pixel left.

The rule of spatial embeddings (Neven et al. 2019, arXiv 1906.11109, and EmbedSeg, Lalit et al.
2022): of the pixels in no proposal yet, the one with the highest seed gives the centre of a
proposal, its own embedding, and the width, its own bandwidth. Departure: after `tries` proposals
the rest is background, so that an untrained network ends too.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from maskspace.partition.decoded import at_size, cells, foreground_of, gathered, need
from maskspace.partition.offset_read import embedding_of
from maskspace.prediction import Prediction

_NAME = "sequential_gaussian"
# its exp, times a squared distance in any image, is finite in single precision
_MAX_EXPONENT = 60.0


def sequential_gaussian(
    outputs: Mapping[str, Float32[Tensor, "_ _ _"]],
    *,
    seed_threshold: float = 0.9,
    cut: float = 0.5,
    min_area: int = 16,
    scale: float = 10.0,
    candidate: float = 0.5,
    tries: int = 500,
) -> Prediction:
    """Return the accepted proposals, later ones over earlier ones; the score is that of the seed.

    A proposal holds the pixels with exp(-sum_d s_d (e_d - c_d)^2) > `cut`, s = exp(`scale` *
    `bandwidth`), among the pixels of the foreground with `seed` > `candidate`. It is accepted if it
    has at least `min_area` pixels, more than half of them new. Its pixels give no further seeds in
    any case.

    Args:
        outputs: an embedding level, `seed`, and `bandwidth` with one channel, or one for each of
            the embedding's; and `foreground` if the network has it.
        seed_threshold: proposals end at a lower seed (default 0.9).
        cut: value in (0, 1) at which the Gaussian is cut (default 0.5).
        min_area: proposals of fewer pixels of the image are not accepted (default 16).
        scale: factor of `bandwidth` in the exponent (default 10).
        candidate: pixels with a lower seed belong to no instance (default 0.5).
        tries: most proposals (default 500).

    Raises ValueError where an output is missing, or `bandwidth` has another number of channels.

    Example:
        >>> import torch
        >>> halves = torch.zeros(1, 8, 8)
        >>> halves[:, :, 4:] = 1
        >>> outputs = {"1": halves, "seed": torch.full((1, 8, 8), 0.95)}
        >>> outputs["bandwidth"] = torch.zeros(1, 8, 8)
        >>> sequential_gaussian(outputs).labels[0].tolist()
        [1, 1, 1, 1, 2, 2, 2, 2]
    """
    embedding = embedding_of(outputs)
    size_hw = (embedding.shape[1], embedding.shape[2])
    seed = at_size(need(outputs, "seed", decoder=_NAME), size_hw)[0]
    bandwidth = at_size(need(outputs, "bandwidth", decoder=_NAME), size_hw)
    if len(bandwidth) not in (1, len(embedding)):
        raise ValueError(
            f"decoder {_NAME}: bandwidth has 1 channel or the embedding's {len(embedding)}; "
            f"got {len(bandwidth)}"
        )
    inside = foreground_of(outputs, size_hw) & (seed > candidate)
    labels = torch.zeros(size_hw, dtype=torch.int64, device=seed.device)
    quality = torch.zeros(size_hw, device=seed.device)
    precision = (scale * bandwidth[:, inside]).clamp(max=_MAX_EXPONENT).exp()
    labels[inside], quality[inside] = _proposed(
        embedding[:, inside],
        precision.expand(len(embedding), -1),
        seed[inside],
        rules=(seed_threshold, cut, cells(outputs, min_area), tries),
    )
    return gathered(labels.cpu().numpy(), quality.cpu().numpy())


def _proposed(
    pixels: Float32[Tensor, "c p"],
    precision: Float32[Tensor, "c p"],
    seed: Float32[Tensor, " p"],
    *,
    rules: tuple[float, float, int, int],
) -> tuple[Int64[Tensor, " p"], Float32[Tensor, " p"]]:
    """Return the label of each pixel, 0 for none, and the seed of its proposal."""
    seed_threshold, cut, min_area, tries = rules
    labels = torch.zeros(len(seed), dtype=torch.int64, device=seed.device)
    quality = torch.zeros_like(seed)
    remaining = seed.clone()  # -1: in a proposal
    for label in range(1, tries + 1):
        if not len(remaining):
            break
        best, best_pixel = remaining.max(0)
        if float(best) < seed_threshold:
            break
        place = best_pixel[None]
        centre = pixels.index_select(1, place)
        exponent = (precision.index_select(1, place) * (pixels - centre).square()).sum(0)
        proposal = torch.exp(-exponent) > cut
        proposal[best_pixel] = True  # so that it ends also where the pixel is not a number
        area, num_new = torch.stack([proposal.sum(), (proposal & (remaining >= 0)).sum()]).tolist()
        if area >= min_area and 2 * num_new > area:
            labels[proposal] = label
            quality[proposal] = best
        remaining[proposal] = -1.0
    return labels, quality
