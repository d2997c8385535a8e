"""What a network's outputs say of its training: spread, instances apart, what each term moves.

The figures describe one batch of outputs; they need no network and change nothing. An embedding's
variance is judged without the positions that its head adds, as they vary whatever the network does.
The distance of its instances is judged with these positions: where offsets to centres are learnt
perfectly, the mean offset of every instance is 0.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from maskspace.heads import DenseMap, Head, Level, maps_of
from maskspace.objectives import Objective
from maskspace.objectives.objective import Outputs
from maskspace.objectives.pixels import instances, own_squared_distance
from maskspace.targets import Targets, labels_at
from maskspace.training.monitors import feature_std

Labels = Int[Tensor, "b h w"]


def output_figures(
    outputs: Outputs, labels: Labels, *, heads: Mapping[str, Head]
) -> dict[str, float]:
    """Return figures of each head, named `FIGURE/HEAD`; heads of queries have none.

    - `std`: see `feature_std`.
    - `variance`, `least_variance`: the variance over the pixels of an image, averaged over images;
      its mean and its least value over channels. Of a head with positions they are in square
      pixels, and `std` in pixels.
    - `between_within`, `mean_distance` (embeddings alone): see `instance_spread`.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]] * 4])
        >>> colours = labels[:, None].float().expand(1, 3, 4, 4) / 2  # each instance has its own
        >>> heads = {"1": Level(stride=1, channels=3)}
        >>> figures = output_figures({"1": colours}, labels, heads=heads)
        >>> figures["std/1"], round(figures["mean_distance/1"], 4)
        (0.25, 0.866)
    """
    figures: dict[str, Tensor] = {}
    for name, head in maps_of(heads).items():
        learnt = without_position(outputs[name].float(), head)
        placed = outputs[name].float() if head.position == "add" else learnt
        if head.position != "none":
            learnt = learnt * head.unit
        variance = learnt.flatten(2).var(dim=2, correction=0).mean(0)
        figures[f"std/{name}"] = feature_std(learnt)
        figures[f"variance/{name}"] = variance.mean()
        figures[f"least_variance/{name}"] = variance.min()
        if isinstance(head, Level):
            ratio, distance = instance_spread(placed, labels_at(labels, head.stride))
            figures[f"between_within/{name}"] = ratio
            figures[f"mean_distance/{name}"] = distance
    values = torch.stack([value.double() for value in figures.values()]).tolist()
    return dict(zip(figures, values, strict=True))


def without_position(output: Float[Tensor, "b c h w"], head: DenseMap) -> Float[Tensor, "b d h w"]:
    """Return what the network itself emits: the output without the positions of its cells.

    Example:
        >>> head = DenseMap(channels=2, stride=1, position="add")
        >>> places = torch.tensor([[[[0.5, 1.5]], [[0.5, 0.5]]]])  # x and y of two cells
        >>> without_position(places, head).abs().max().item()
        0.0
    """
    if head.position == "none":
        return output
    if head.position == "concat":
        return output[:, : head.channels]
    rows, columns = (
        (torch.arange(length, device=output.device) + 0.5) * (head.stride / head.unit)
        for length in output.shape[2:]
    )
    place = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))  # x y
    return torch.cat([output[:, :2] - place, output[:, 2:]], dim=1)


def instance_spread(
    embedding: Float[Tensor, "b c h w"], labels: Labels
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Return the variance between instances over that within them, and the distance of their means.

    Variances are summed over channels and averaged over the pixels of instances, about each image's
    own mean. The distance is averaged over pairs of instances of an image. Images with fewer than
    two instances are left out; both are 0 if no image is left.

    Example:
        >>> labels = torch.tensor([[[1, 1, 2, 2]]])
        >>> embedding = torch.tensor([[[[0.0, 2.0, 10.0, 12.0]]]])
        >>> ratio, distance = instance_spread(embedding, labels)
        >>> ratio.item(), distance.item()  # variances 25 between and 1 within, means 1 and 11
        (25.0, 10.0)
    """
    regions = instances(embedding, labels)
    has_two = regions.present.sum(1) > 1
    if not bool(has_two.any()):
        return embedding.new_zeros(()), embedding.new_zeros(())
    counts = regions.counts * has_two[:, None]
    weights = counts[..., None] / counts.sum(1).clamp(min=1)[:, None, None]
    centre = (weights * regions.means).sum(1, keepdim=True)
    between = (weights * (regions.means - centre).square()).sum()
    squared_distance = torch.where(regions.labelled, own_squared_distance(regions), 0.0).sum(1)
    within = (squared_distance / regions.counts.sum(1).clamp(min=1) * has_two).sum()
    pairs = regions.present[:, :, None] & regions.present[:, None]
    pairs = pairs & ~torch.eye(pairs.shape[1], dtype=torch.bool, device=pairs.device)
    distance = torch.cdist(regions.means, regions.means)[pairs].mean()
    return between / within.clamp(min=1e-12), distance


def term_figures(objective: Objective, outputs: Outputs, targets: Targets) -> dict[str, float]:
    """Return `loss`, `gradient`, and for each term `gradient_TERM` and `active_TERM`.

    A gradient is taken with respect to the outputs: the norm over all values of all heads. It costs
    a backward pass through the objective and none through the network, so that saturated
    activations do not show in it. `active_TERM` is `active_share` of the term's gradient, at the
    head where that is largest. Outputs and parameters stay as they are; works in inference mode
    too.

    Example:
        >>> from maskspace.config import Choice
        >>> from maskspace.config import choose
        >>> from maskspace.objectives import OBJECTIVES
        >>> objective = choose(OBJECTIVES, Choice(name="balls", options={}), kind="objective")()
        >>> labels = torch.tensor([[[1, 1, 2, 2]] * 4])
        >>> sizes = {head: 4 // int(head) for head in objective.heads}
        >>> outputs = {head: torch.rand(1, 3, size, size) for head, size in sizes.items()}
        >>> figures = term_figures(objective, outputs, Targets.of_labels(labels))
        >>> figures["loss"] > 0 and figures["gradient"] > 0
        True
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaves = {name: x.detach().clone().float().requires_grad_() for name, x in outputs.items()}
        truth = Targets(*(tensor.clone() for tensor in targets))
        terms = objective.terms(leaves, truth)
        maps, labels = maps_of(objective.heads), truth.labels()
        loss = torch.stack([value.double() for value in terms.values()]).sum()
        figures = {"gradient": _norm(_gradients(loss, leaves)), "loss": loss}
        for name, value in terms.items():
            gradients = _gradients(value, leaves)
            shares = [
                active_share(gradient, labels_at(labels, maps[head].stride))
                for head, gradient in gradients.items()
                if head in maps
            ]
            figures[f"gradient_{name}"] = _norm(gradients)
            figures[f"active_{name}"] = torch.stack(shares).max() if shares else loss * 0
        values = torch.stack([value.detach().double().cpu() for value in figures.values()]).tolist()
    return dict(zip(figures, values, strict=True))


def _gradients(value: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradient at each output that the value depends on."""
    if not value.requires_grad:
        return {}
    gradients = torch.autograd.grad(
        value, list(leaves.values()), retain_graph=True, allow_unused=True
    )
    return {name: g for name, g in zip(leaves, gradients, strict=True) if g is not None}


def _norm(gradients: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    if not gradients:
        return torch.zeros(())
    return torch.stack([g.double().square().sum().cpu() for g in gradients.values()]).sum().sqrt()


def active_share(gradient: Float[Tensor, "b c h w"], labels: Labels) -> Float[Tensor, ""]:
    """Return the share of the known pixels that a term moves, in [0, 1].

    In a region (an instance, or the background) the effective number of pixels moved is (sum |g|)^2
    / sum |g|^2: it is m where m pixels are moved alike. These numbers are added over the regions
    and divided by the number of known pixels. Counting non-zero gradients would not do: a mean
    hands a little of each active pixel's gradient to all pixels of its instance.

    Example:
        >>> gradient = torch.tensor([[[[1.0, 1.0, 0.0, 0.0]]]])
        >>> labels = torch.ones(1, 1, 4, dtype=torch.long)
        >>> active_share(gradient, labels).item()  # half of the pixels
        0.5
    """
    known = (labels >= 0).flatten(1)
    size = torch.where(known, gradient.double().square().sum(1).sqrt().flatten(1), 0.0)
    regions = labels.flatten(1).clamp(min=-1) + 1
    rows = torch.arange(len(labels), device=labels.device)[:, None] * (regions.max() + 1)
    _, slot = torch.unique(regions + rows, return_inverse=True)
    sums = size.new_zeros(slot.numel()).index_add(0, slot.flatten(), size.flatten())
    squares = size.new_zeros(slot.numel()).index_add(0, slot.flatten(), size.square().flatten())
    moved = torch.where(squares > 0, sums.square() / squares.clamp(min=1e-300), 0.0).sum()
    return (moved / known.sum().clamp(min=1)).cpu()
