"""What an objective is: the heads it needs, the terms it minimises, the decoder of its outputs.

A network emits one map a head. A head that is named by a number is a level of the embedding: a
vector per cell at that stride. The others are what a method needs beside it: `foreground`, `seed`,
`bandwidth`, `direction`, `energy`, ... Labels are n > 0 on instance n, 0 on the background and
UNLABELLED where nobody knows, which no term asks anything of.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.mask_losses.masks import at_least_float32
from maskspace.objectives.pixels import labels_at
from maskspace.types import Head

Outputs = Mapping[str, Tensor]
Terms = dict[str, Tensor]

#: How much the colours at each stride weigh: coarser levels more, as they hold the whole object.
LEVEL_WEIGHTS = {"1": 1.0, "2": 2.0, "4": 4.0}


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How a network of these heads is trained and read.

    `terms(outputs, labels)` returns named scalars, weighted, whose sum is minimised: float32 also
    of half-precision outputs, means over the images of the batch. Those that sample draw from
    torch's own generator, which the training seeds at every step. `decoder` is one of the
    partition package's DECODERS, with the thresholds that follow from the objective's margins.
    """

    heads: Mapping[str, Head]
    terms: Callable[[Outputs, Int[Tensor, "b h w"]], Terms]
    decoder: Choice

    @property
    def is_colours(self) -> bool:
        """Return whether all it emits are colours: what a merge tree is made of."""
        return all(name.isdigit() and h.activation == "sigmoid" for name, h in self.heads.items())


def colours(
    terms: Callable[[Float[Tensor, "b c h w"], Int[Tensor, "b h w"]], Terms],
    *,
    level_weights: Mapping[str, float],
    channels: int,
    decoder: Choice,
    activation: Literal["sigmoid", "unit"] = "sigmoid",
) -> Objective:
    """Return an objective of the colour family: the same terms at each of several strides.

    Level s has `channels` * s^2 channels in [0, 1], as many values as every other. They reach the
    terms divided by the root of their number: every distance is a root mean square over channels,
    so that features are at most 1 apart and a margin means the same at every level. Each term
    comes once a level, `pull/4`, times the level's share of the weights. The decoder reads the
    finest level as it is: its `bandwidth`, given in the unit of the terms, is brought to that.
    Terms that look only at directions want `unit` vectors instead.
    """
    if not level_weights or any(w <= 0 for w in level_weights.values()):
        raise ValueError(f"level_weights are one or more, above 0; got {dict(level_weights)}")
    total = sum(level_weights.values())

    def weighted(outputs: Outputs, labels: Int[Tensor, "b h w"]) -> Terms:
        return {
            f"{name}/{level}": weight / total * value
            for level, weight in level_weights.items()
            for name, value in terms(
                at_least_float32(outputs[level]) * outputs[level].shape[1] ** -0.5,
                labels_at(labels, int(level)),
            ).items()
        }

    finest = min(map(int, level_weights))
    options = dict(decoder.options)
    if "bandwidth" in options and activation == "sigmoid":
        options["bandwidth"] *= (channels * finest**2) ** 0.5
    heads = {
        level: Head(channels=channels * int(level) ** 2, stride=int(level), activation=activation)
        for level in level_weights
    }
    return Objective(
        heads=heads, terms=weighted, decoder=Choice(name=decoder.name, options=options)
    )
