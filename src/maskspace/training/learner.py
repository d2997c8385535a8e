"""A model that learns: its optimiser, its averaged weights, and one step of both."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from maskspace.training.average import MovingAverage
from maskspace.training.checkpoint import Stateful
from maskspace.training.config import Optimisation
from maskspace.training.optimiser import make_optimiser, set_rate

BatchTerms = Callable[[nn.Module, object], dict[str, Tensor]]
BatchCounts = Callable[[object], dict[str, Tensor]]


class Learner:
    """The state of a training on one worker.

    Args:
        model: the model to train.
        terms: `terms(model, batch)` are the losses by name; their sum is minimised.
        optimisation: the recipe.
        wrap: returns a model that averages its gradients with those of the other workers.
        averages: whether this worker keeps the moving average of the weights.
        counts: `counts(batch)` are numbers that are reported beside the losses (default None:
            none).

    Example:
        >>> from maskspace.config import Choice
        >>> recipe = Optimisation(
        ...     steps=4, batch=2, accumulate=1, optimiser="adam", betas=(0.9, 0.999),
        ...     learning_rate=0.1, schedule=Choice(name="cosine", options={}), warmup=0,
        ...     layer_decay=1.0, weight_decay=0.0, clip_norm=1.0, ema=0.0, precision="float32",
        ...     compile=False, seed=0, validate_every=2, early_stop=None, checkpoint_seconds=60.0)
        >>> model = nn.Linear(1, 1)
        >>> terms = lambda model, batch: {"square": model(batch).square().mean()}
        >>> learner = Learner(model, terms, recipe, wrap=lambda model: model, averages=True)
        >>> losses = [learner.step(step, [torch.ones(2, 1)])["loss"].item() for step in range(4)]
        >>> losses[-1] < losses[0]
        True
    """

    def __init__(
        self,
        model: nn.Module,
        terms: BatchTerms,
        optimisation: Optimisation,
        *,
        wrap: Callable[[nn.Module], nn.Module],
        averages: bool,
        counts: BatchCounts | None = None,
    ) -> None:
        self.live, self._terms, self._recipe = model, terms, optimisation
        self._counts = counts
        self.optimiser = make_optimiser(model, optimisation)
        has_average = averages and optimisation.ema > 0
        self.average = MovingAverage(model, optimisation.ema) if has_average else None
        if optimisation.compile:
            model.compile()  # in place: names of weights stay what they are
        self._trained = wrap(model)
        is_rough = optimisation.precision == "bfloat16"
        self._called = BFloat16(self._trained) if is_rough else self._trained

    @property
    def model(self) -> nn.Module:
        """The model to validate: with averaged weights if there are any."""
        return self.live if self.average is None else self.average.model

    @property
    def state(self) -> dict[str, Stateful]:
        """What a checkpoint holds, by name."""
        parts: dict[str, Stateful] = {"model": self.live, "optimiser": self.optimiser}
        return parts if self.average is None else parts | {"average": self.average.model}

    def step(self, number: int, parts: Iterable[object]) -> dict[str, Tensor]:
        """Learn from the parts of a step's batch; return the means of its terms, on the device.

        If terms are means over the batch, the gradient is that of the whole batch.
        """
        set_rate(self.optimiser, self._recipe.rate(number))
        self._trained.train()
        self.optimiser.zero_grad(set_to_none=True)
        means: dict[str, Tensor] = {}
        for index, part in enumerate(parts, start=1):
            for name, value in self._backward(part, last=index == self._recipe.accumulate).items():
                means[name] = means[name] + value if name in means else value
        means["norm"] = nn.utils.clip_grad_norm_(self.live.parameters(), self._recipe.clip_norm)
        self.optimiser.step()
        if self.average is not None:
            self.average.update(number)
        return means

    def _backward(self, part: object, *, last: bool) -> dict[str, Tensor]:
        """Add the gradients of one part; workers talk to each other after the last alone."""
        model = self._trained
        is_shared = isinstance(model, DistributedDataParallel)
        with model.no_sync() if is_shared and not last else nullcontext():
            terms = self._terms(self._called, part)
            shares = {name: value / self._recipe.accumulate for name, value in terms.items()}
            loss = torch.stack(list(shares.values())).sum()
            loss.backward()
        values = {name: value.detach() for name, value in (shares | {"loss": loss}).items()}
        counts = self._counts(part) if self._counts else {}
        return values | {name: value / self._recipe.accumulate for name, value in counts.items()}


class BFloat16(nn.Module):
    """A model whose matrix products are in bfloat16; its weights and its outputs are float32.

    So losses are computed in float32.

    Example:
        >>> model = BFloat16(nn.Linear(2, 2))
        >>> model(torch.zeros(1, 2)).dtype
        torch.float32
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self._kind = model, next(model.parameters()).device.type

    def forward(self, *inputs: object, **options: object) -> Tensor | dict[str, Tensor]:
        """Return the model's output: a tensor, or one a head."""
        with torch.autocast(self._kind, torch.bfloat16):
            output = self.model(*inputs, **options)
        if isinstance(output, Tensor):
            return output.float()
        return {head: x.float() for head, x in output.items()}
