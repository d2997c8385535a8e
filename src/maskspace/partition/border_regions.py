"""Instances from the tree of border strength, cut at one height.

A student with this decoder uses more than this cut: its partitions, proposals and clicks are those
of the whole tree (`segmenter.border`).
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from maskspace.partition.border_tree import read_rule, tree_of_outputs
from maskspace.partition.decoded import foreground_of, gathered
from maskspace.prediction import Prediction


def border_regions(
    outputs: Mapping[str, Float32[Tensor, "..."]],
    *,
    height: float = 0.3,
    min_area: int = 16,
    rule: Mapping[str, object] | None = None,
) -> Prediction:
    """Return the regions of the border tree, cut at a height, inside the foreground.

    The score is the height at which a region ends: the share of people who see its weakest border.

    Args:
        outputs: `boundary`, an embedding level, or both; and `foreground` if the network has it.
        height: where the tree is cut, in [0, 1] (default 0.3).
        min_area: regions of fewer pixels are dropped (default 16).
        rule: options of `BorderRule` (default None: its defaults).

    Example:
        >>> import torch
        >>> boundary = torch.full((1, 32, 32), -8.0)  # logits: nobody sees a border
        >>> boundary[:, :, 16] = 8.0  # but in one column, where everybody does
        >>> prediction = border_regions({"boundary": boundary}, height=0.1)
        >>> prediction.masks.shape, prediction.masks.sum(axis=(1, 2)).tolist()
        ((2, 32, 32), [512, 512])
    """
    tree = tree_of_outputs(outputs, read_rule(rule or {}), regions=1)
    labels = tree.cut(min(height, 1.0))
    inside = foreground_of(outputs, (labels.shape[0], labels.shape[1])).cpu().numpy()
    heights = np.ones(labels.max() + 1)
    heights[1:] = tree.ends(labels)
    return gathered(np.where(inside, labels, 0), heights[labels], min_area=min_area)
