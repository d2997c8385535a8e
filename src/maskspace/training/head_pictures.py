"""Pictures of a validation: what each head says of an image, the regions, and the wrong pixels."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt8
from torch import Tensor

from maskspace import pictures
from maskspace.config import Choice, choose
from maskspace.heads import DenseMap, Head, Level, maps_of
from maskspace.masks import enlarge
from maskspace.partition import DECODERS, PARTITIONERS
from maskspace.partition.decoded import finest_level
from maskspace.training.diagnosis import without_position

#: Heads of one logit a cell, which are shown as probabilities.
_LOGITS = ("foreground", "affinity")
#: Heads of a logit a bin, which are shown as the number of the likeliest.
_BINS = ("energy", "depth")


def picture_row(
    heads: Mapping[str, Head],
    decoder: Choice | None,
    outputs: Mapping[str, Float[Tensor, "..."]],
    image: UInt8[np.ndarray, "h w 3"],
    truth: Int[np.ndarray, "h w"],
) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Return the pictures of one image, in the order of `picture_titles`.

    Regions are those of `decoder`, or without one those of the merge tree of the features. A pixel
    is wrong if its region has its best IoU with another label than the pixel's own.

    Example:
        >>> truth = np.repeat([[1, 1, 2, 2]], 4, axis=0)
        >>> heads = {"1": Level(stride=1, channels=3)}
        >>> colours = Tensor(np.stack([truth == 1, truth == 2, truth == 0]).astype(np.float32))
        >>> row = picture_row(heads, None, {"1": colours}, np.zeros((4, 4, 3), np.uint8), truth)
        >>> len(row) == len(picture_titles(heads))
        True
        >>> row[-1].max().item()  # the last picture shows wrong pixels in red: none
        0
    """
    known = truth.clip(min=0)
    maps = maps_of(heads)
    regions = _regions(decoder, outputs, number=len(np.unique(known)))
    regions = enlarge(regions, (truth.shape[0], truth.shape[1]))
    return [
        image,
        pictures.paint_labels(image, known),
        *(head_colors(name, outputs[name], head) for name, head in maps.items()),
        pictures.paint_labels(image, regions),
        pictures.paint_errors(image, wrong_pixels(regions, truth)),
    ]


def picture_titles(heads: Mapping[str, Head]) -> list[str]:
    """Return the title of each picture of a row.

    Example:
        >>> picture_titles({"1": Level(stride=1, channels=3)})
        ['input', 'truth', '1', 'partition', 'wrong']
    """
    return ["input", "truth", *maps_of(heads), "partition", "wrong"]


def head_colors(
    name: str, output: Float[Tensor, "c h w"], head: DenseMap
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a head's map in colour.

    Colours are shown as they are. Other embeddings are shown by their principal components, without
    the positions of the cells; vectors by their direction as a hue. Bins and numbers run from dark
    (the least) to light (the largest).

    Example:
        >>> import torch
        >>> direction = DenseMap(channels=2, stride=1)
        >>> right = torch.tensor([[[1.0]], [[0.0]]])
        >>> head_colors("direction", right, direction).tolist()  # red
        [[[255, 0, 0]]]
    """
    values = without_position(output.float()[None], head)[0].cpu().numpy()
    if isinstance(head, Level):
        is_colour = head.activation == "sigmoid" or len(values) > 3
        return pictures.feature_colors(values if is_colour else _unit_range(values))
    if len(values) == 2 and name in ("direction", "offset"):
        return pictures.direction_colors(values)
    if name in _BINS and len(values) > 1:
        return pictures.ramp_colors(values.argmax(0) / (len(values) - 1))
    if name in _LOGITS:
        return pictures.ramp_colors((1 / (1 + np.exp(-values.clip(-30, 30)))).mean(0))
    mean = values.mean(0)
    return pictures.ramp_colors(mean if head.activation == "sigmoid" else _unit_range(mean))


def _unit_range(values: Float[np.ndarray, "*size"]) -> Float[np.ndarray, "*size"]:
    """Return values moved and scaled to [0, 1], in one scale; all equal ones to 0."""
    low = values.min()
    return (values - low) / max(float(values.max() - low), 1e-12)


def _regions(
    decoder: Choice | None, outputs: Mapping[str, Float[Tensor, "..."]], *, number: int
) -> Int32[np.ndarray, "h w"]:
    """Return what the model finds: as many regions as there are true ones, or its decoder's."""
    if decoder is None:
        return PARTITIONERS["merge_tree"](finest_level(outputs).numpy(), regions=number)
    return choose(DECODERS, decoder, kind="decoder")(outputs).labels


def wrong_pixels(
    regions: Int[np.ndarray, "h w"], truth: Int[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """Return the known pixels whose region has its best IoU with another label than their own.

    The background, 0, counts as a label like any other; of equal IoUs the lowest label counts.

    Example:
        >>> wrong_pixels(np.array([[1, 1, 1, 2]]), np.array([[5, 5, 6, 6]])).astype(int).tolist()
        [[0, 0, 1, 0]]
    """
    known = truth >= 0
    ids, columns = np.unique(truth[known], return_inverse=True)
    _, rows = np.unique(regions[known], return_inverse=True)
    wrong = np.zeros(truth.shape, bool)
    if not ids.size:
        return wrong
    shared = np.zeros((rows.max() + 1, len(ids)))
    np.add.at(shared, (rows, columns), 1)
    union = shared.sum(1, keepdims=True) + shared.sum(0, keepdims=True) - shared
    best = (shared / union).argmax(1)
    wrong[known] = best[rows] != columns
    return wrong
