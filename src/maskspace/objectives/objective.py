"""What an objective is: the heads it needs, the terms it minimises, the decoder of its outputs.

A network emits one output a head: levels of the embedding, and what a method needs beside them
(`maskspace.heads`). The truth comes as `Targets`. Most objectives want disjoint instances: one
label map, with n > 0 on instance n, 0 on the background and UNLABELLED where nobody knows, of which
no term asks anything. Those are made by `Objective.of_label_maps`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from maskspace.config import Choice
from maskspace.heads import Head, Level, checked_heads, is_colour
from maskspace.mask_losses.masks import at_least_float32
from maskspace.targets import Targets, labels_at

Outputs = Mapping[str, Tensor]
Terms = dict[str, Tensor]

#: How much the colours at each stride weigh: coarser levels more, as they hold the whole object.
LEVEL_WEIGHTS = {"1": 1.0, "2": 2.0, "4": 4.0}


@dataclass(frozen=True, kw_only=True)
class Objective:
    """How a network of these heads is trained and read.

    heads: what the network has to emit, by name.
    terms: `terms(outputs, targets)` returns named scalars, weighted, whose sum is minimised:
        float32 also of half-precision outputs, means over the images of the batch. Terms that
        sample draw from torch's own generator, which the training seeds at every step.
    decoder: one of the partition package's DECODERS, with the thresholds that follow from the
        objective's margins.
    wants: the truth that it is trained on (default "masks"). "masks": all masks of an image, in
        layers. "label_map": one label map, at a random level of the nest.
    classes: how many classes it tells apart (default 0: none); the training data has as many.

    Example:
        >>> def terms(outputs, targets):
        ...     return {"size": outputs["1"].square().mean()}
        >>> decoder = Choice(name="mean_shift", options={})
        >>> heads = {"1": Level(channels=8)}
        >>> objective = Objective(heads=heads, terms=terms, decoder=decoder)
        >>> objective.wants, objective.is_colours
        ('masks', False)
    """

    heads: Mapping[str, Head]
    terms: Callable[[Outputs, Targets], Terms]
    decoder: Choice
    wants: Literal["masks", "label_map"] = "masks"
    classes: int = 0

    def __post_init__(self) -> None:
        """Refuse heads whose names do not say what they are."""
        checked_heads(self.heads)

    @classmethod
    def of_label_maps(
        cls,
        *,
        heads: Mapping[str, Head],
        terms: Callable[[Outputs, Int[Tensor, "b h w"]], Terms],
        decoder: Choice,
    ) -> "Objective":
        """Return an objective of disjoint instances: its terms take one label map an image.

        Example:
            >>> objective = Objective.of_label_maps(
            ...     heads={"1": Level(channels=8)},
            ...     terms=lambda outputs, labels: {"size": outputs["1"].square().mean()},
            ...     decoder=Choice(name="mean_shift", options={}))
            >>> objective.wants
            'label_map'
        """

        def of_targets(outputs: Outputs, targets: Targets) -> Terms:
            return terms(outputs, targets.labels())

        return cls(heads=heads, terms=of_targets, decoder=decoder, wants="label_map")

    @property
    def is_colours(self) -> bool:
        """Return whether all it emits are colours: what a merge tree is made of."""
        return all(is_colour(head) for head in self.heads.values())


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

    Example:
        >>> from maskspace.objectives.balls import ball_terms
        >>> decoder = Choice(name="mean_shift", options={"bandwidth": 0.1})
        >>> objective = colours(
        ...     ball_terms, level_weights={"1": 1.0, "2": 2.0}, channels=3, decoder=decoder)
        >>> {name: head.channels for name, head in objective.heads.items()}
        {'1': 3, '2': 12}
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
        level: Level(channels=channels * int(level) ** 2, stride=int(level), activation=activation)
        for level in level_weights
    }
    return Objective.of_label_maps(
        heads=heads, terms=weighted, decoder=Choice(name=decoder.name, options=options)
    )
