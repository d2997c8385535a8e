"""Adam over groups of parameters: matrices decay, and layers nearer the image learn more slowly.

Layer-wise decay as in ELECTRA (Clark et al. 2020, arXiv 2003.10555) and BEiT. Every parameter is in
exactly one group, whatever a model has beside its backbone.
"""

import re
from collections.abc import Iterable

import torch
from torch import nn

from maskspace.training.config import Optimisation

_BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.")
_EMBEDDING = re.compile(r"backbone\.(patch_embed|pos_embed)\b")


def layers(names: Iterable[str]) -> dict[str, int]:
    """Return the layer of each parameter of a model with a ViT backbone, by name.

    The embedding of patches and positions is layer 0, block i is layer i + 1, and all others are
    one layer above the last block. ValueError if there is no block.

    Example:
        >>> layers(["backbone.pos_embed", "backbone.blocks.0.mlp.weight", "head.weight"])
        {'backbone.pos_embed': 0, 'backbone.blocks.0.mlp.weight': 1, 'head.weight': 2}
    """
    names = list(names)
    blocks = {name: int(match[1]) + 1 for name in names if (match := _BLOCK.match(name))}
    if not blocks:
        raise ValueError(
            "layer_decay below 1 needs a backbone of blocks (parameters backbone.blocks.0., ...), "
            "which this model does not have; set it to 1.0"
        )
    top = max(blocks.values()) + 1
    return {name: blocks.get(name, 0 if _EMBEDDING.match(name) else top) for name in names}


def make_optimiser(model: nn.Module, optimisation: Optimisation) -> torch.optim.Optimizer:
    """Return the optimiser; the rate of a group is its `share` of the learning rate.

    Example:
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> optimiser = make_optimiser(nn.Linear(2, 1), recipe)
        >>> [(len(group["params"]), group["share"]) for group in optimiser.param_groups]
        [(1, 1.0), (1, 1.0)]
    """
    parameters = dict(model.named_parameters())
    depth = dict.fromkeys(parameters, 0)
    if optimisation.layer_decay < 1:
        depth = layers(parameters)
    top = max(depth.values())
    backbone = _backbone(model, optimisation.backbone_rate)
    shares = {
        name: optimisation.layer_decay ** (top - layer)
        * (optimisation.backbone_rate if parameters[name] in backbone else 1.0)
        for name, layer in depth.items()
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        is_matrix = parameter.ndim >= 2  # biases and norms: no decay
        groups.setdefault((shares[name], is_matrix), []).append(parameter)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimisation.optimiser]
    return kind(
        [
            {
                "params": members,
                "weight_decay": optimisation.weight_decay if is_matrix else 0.0,
                "share": share,
            }
            for (share, is_matrix), members in groups.items()
        ],
        lr=optimisation.learning_rate,
        betas=optimisation.betas,
    )


def _backbone(model: nn.Module, rate: float) -> set[nn.Parameter]:
    """Return the parameters of a model's `backbone`; ValueError if `rate` needs one and none is."""
    backbone = getattr(model, "backbone", None)
    if isinstance(backbone, nn.Module):
        return set(backbone.parameters())
    if rate != 1:
        raise ValueError(
            f"backbone_rate {rate} needs a model with a backbone, which {type(model).__name__} "
            "does not have; set it to 1.0"
        )
    return set()


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of a learning rate.

    Example:
        >>> optimiser = torch.optim.Adam(nn.Linear(2, 1).parameters())
        >>> optimiser.param_groups[0]["share"] = 0.5
        >>> set_rate(optimiser, 0.1)
        >>> optimiser.param_groups[0]["lr"]
        0.05
    """
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]
