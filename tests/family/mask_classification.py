"""The objective file: masks and classes of queries, matched one to one (MaskFormer, 2107.06278)."""

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F

from maskspace.config import Choice
from maskspace.heads import DenseMap, Queries
from maskspace.objectives.objective import Objective, Outputs, Terms
from maskspace.targets import InstanceMasks, Targets

STRIDE = 4


def mask_classification(*, classes: int, queries: int = 8, no_object: float = 0.1) -> Objective:
    """Return the objective; class logits have one column more, for no object."""

    def terms(outputs: Outputs, targets: Targets) -> Terms:
        cells = targets.at(STRIDE)
        values = [
            _image_terms(masks, logits, cells.instances(image), no_object)
            for image, (masks, logits) in enumerate(
                zip(outputs["mask"], outputs["class"], strict=True)
            )
        ]
        return {name: torch.stack([one[name] for one in values]).mean() for name in values[0]}

    return Objective(
        heads={
            "mask": DenseMap(channels=queries, stride=STRIDE),
            "class": Queries(number=queries, channels=classes + 1),
        },
        terms=terms,
        decoder=Choice(name="classified_masks", options={}),
        classes=classes,
    )


def _image_terms(
    masks: Float[Tensor, "q h w"], logits: Float[Tensor, "q k"], truth: InstanceMasks, rare: float
) -> Terms:
    weight = torch.ones(logits.shape[1])
    weight[-1] = rare
    wanted = torch.full((len(logits),), logits.shape[1] - 1)
    if not len(truth.labels):
        return {"class": F.cross_entropy(logits, wanted, weight), "mask": masks.sum() * 0}
    true, known = truth.masks.flatten(1).float(), truth.known.flatten(1).float()
    logit = masks.flatten(1)
    pairs = F.softplus(logit) @ known.T - logit @ (true * known).T
    pairs = pairs / known.sum(1).clamp(min=1)  # cross-entropy of every query with every mask
    cost = pairs - logits.softmax(1)[:, truth.classes]
    rows, columns = linear_sum_assignment(cost.detach().numpy())
    wanted[rows] = truth.classes[columns]
    return {"class": F.cross_entropy(logits, wanted, weight), "mask": pairs[rows, columns].mean()}
