"""Weights averaged exponentially over the steps of a training (Polyak and Juditsky 1992)."""

from copy import deepcopy

import torch
from torch import nn


class MovingAverage:
    """A copy of a model in evaluation mode that holds the moving average of its weights.

    After step t, counted from 0, the copy moves towards the model by 1 - min(decay, (1 + t) / (10 +
    t)) of the difference, so that the random weights of the start are soon forgotten. Running
    statistics are averaged like weights; counters are copied.

    Args:
        model: the model that is trained.
        decay: the largest share that the copy keeps of itself in a step, in [0, 1).

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> _ = nn.init.zeros_(model.weight)
        >>> average = MovingAverage(model, decay=0.999)
        >>> _ = nn.init.ones_(model.weight)
        >>> average.update(step=0)  # moves by 1 - min(0.999, 1 / 10)
        >>> round(average.model.weight.item(), 4)
        0.9
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = deepcopy(model).eval().requires_grad_(False), decay
        # these tensors stay where they are: optimisers and load_state_dict write in place
        pairs = list(
            zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
        )
        self._moving = [pair for pair in pairs if pair[0].is_floating_point()]
        self._copied = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the copy towards the model, after a step."""
        follow = torch.optim.swa_utils.get_ema_multi_avg_fn(
            min(self.decay, (1 + step) / (10 + step))
        )
        averaged, current = (list(tensors) for tensors in zip(*self._moving, strict=True))
        follow(averaged, current, None)
        for average, value in self._copied:
            average.copy_(value)
