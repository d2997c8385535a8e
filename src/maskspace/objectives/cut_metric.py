"""Cut metric: the L1 distance of two pixels' vectors is the share of masks that separate them.

A mask M is a cut: it separates two pixels if exactly one of them is in it. The share of a family of
masks that separate p and q,

    s(p, q) = (1 / K) sum_k |1[p in M_k] - 1[q in M_k]|,

is a semimetric, and the L1 distance of vectors with the components 1[p in M_k] / K: a sum of K cut
semimetrics is exactly L1 in K dimensions (Deza and Laurent 1997, doi:10.1007/978-3-642-04295-9,
chapter 4). So any family of at most d masks is represented exactly by vectors in [0, 1]^d, be its
masks nested, overlapping or at odds. An annotator's label map counts as one: it separates what it
labels differently, which is half the sum of the cuts of its regions.

The vectors are fitted on pairs of pixels, by the mean square of the distance less the share, whose
minimum is the mean share: far pairs (two pixels of the image), near pairs, and pairs about a
border, in equal numbers. Annotators who do not know one of the two pixels do not count; a pair of
none does not count at all.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Level, level_name
from maskspace.objectives.boundary import label_borders
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.objectives.samples import features_at, sample_pixels
from maskspace.targets import Targets


def cut_metric(
    *, channels: int = 24, stride: int = 2, pairs: int = 2048, near: int = 12, border: int = 4
) -> Objective:
    """Return the objective that learns the cut metric alone.

    Args:
        channels: numbers in a vector: that many masks are represented exactly (default 24).
        stride: pixels in the side of a cell (default 2).
        pairs: pairs drawn from an image in each of the three groups (default 2048).
        near: cells that the two of a near pair are apart at most, in each direction (default 12).
        border: cells that the two of a pair about a border are apart at most (default 4).

    Example:
        >>> objective = cut_metric()
        >>> sorted(objective.heads), objective.decoder.name
        (['2'], 'border_tree')
    """
    options = {"stride": stride, "pairs": pairs, "near": near, "border": border}

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        vectors = outputs[level_name(stride)]
        return cut_metric_terms(vectors, targets.nested_label_maps(), **options)

    return Objective(
        heads=cut_metric_head(channels, stride),
        terms=terms,
        decoder=Choice(name="border_tree", options={}),
    )


def cut_metric_head(channels: int, stride: int) -> dict[str, Level]:
    """Return the head: a vector in [0, 1]^d a cell, named by its stride as embeddings are.

    Example:
        >>> cut_metric_head(8, 2)["2"].activation
        'sigmoid'
    """
    return {level_name(stride): Level(channels=channels, stride=stride, activation="sigmoid")}


def cut_metric_terms(
    vectors: Float[Tensor, "b c i j"],
    layers: Int[Tensor, "b a h w"],
    *,
    stride: int,
    pairs: int,
    near: int,
    border: int,
) -> dict[str, Tensor]:
    """Return the mean square of distance minus share, over `pairs` pairs of an image in each group.

    The cell (i, j) stands for the pixel (`stride` i, `stride` j). The two of a near pair are at
    most `near` cells apart in each direction, those of a pair about a border at most `border`.

    Example:
        >>> layers = torch.tensor([[[[1, 1, 2, 2]] * 4]])
        >>> vectors = (layers - 1.0)  # 0 on one side of the border, 1 on the other
        >>> terms = cut_metric_terms(vectors, layers, stride=1, pairs=8, near=2, border=1)
        >>> {name: value.item() for name, value in terms.items()}
        {'cut/far': 0.0, 'cut/near': 0.0, 'cut/border': 0.0}
    """
    labels = layers[..., ::stride, ::stride]
    known = (labels >= 0).any(1)
    edges = label_borders(labels).any(1)
    first, at_border = (sample_pixels(which, number=pairs) for which in (known, edges))
    groups = {
        "far": (first, sample_pixels(known, number=pairs)[:, torch.randperm(pairs)]),
        "near": (first, _moved(first, labels.shape[2:], reach=near)),
        "border": (at_border, _moved(at_border, labels.shape[2:], reach=border)),
    }
    return {f"cut/{name}": _misfit(vectors, labels, *ends) for name, ends in groups.items()}


def separating_share(
    labels: Int[Tensor, "b a h w"], first: Int[Tensor, "b s"], second: Int[Tensor, "b s"]
) -> tuple[Float[Tensor, "b s"], Bool[Tensor, "b s"]]:
    """Return the share of layers that give two pixels different labels; False where none knows.

    Example:
        >>> labels = torch.tensor([[[[1, 2]], [[5, 5]]]])  # one of two annotators parts the pixels
        >>> share, is_known = separating_share(labels, torch.tensor([[0]]), torch.tensor([[1]]))
        >>> share.item(), is_known.item()
        (0.5, True)
    """
    flat = labels.flatten(2)
    at = [flat.gather(2, p[:, None].expand(-1, flat.shape[1], -1)) for p in (first, second)]
    known = (at[0] >= 0) & (at[1] >= 0)
    number = known.sum(1)
    differ = ((at[0] != at[1]) & known).sum(1)
    return differ / number.clamp(min=1), number > 0


def _misfit(
    vectors: Float[Tensor, "b c i j"],
    labels: Int[Tensor, "b a i j"],
    first: Int[Tensor, "b s"],
    second: Int[Tensor, "b s"],
) -> Float[Tensor, ""]:
    share, counts = separating_share(labels, first, second)
    distance = (features_at(vectors, first) - features_at(vectors, second)).abs().sum(2)
    square = (distance - share).square()
    return torch.where(counts, square, 0.0).sum() / counts.sum().clamp(min=1)


def _moved(
    pixel: Int[Tensor, "b s"], size_hw: tuple[int, ...], *, reach: int
) -> Int[Tensor, "b s"]:
    """Return pixels moved by up to `reach` rows and columns, drawn uniformly, inside the map."""
    rows, columns = size_hw
    step = torch.randint(-reach, reach + 1, (2, *pixel.shape)).to(pixel.device)
    row = (pixel // columns + step[0]).clamp(0, rows - 1)
    column = (pixel % columns + step[1]).clamp(0, columns - 1)
    return row * columns + column
