"""What the student is trained on: label maps of the truth, now and then of the teacher's masks."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor, nn

from maskspace import pictures
from maskspace.config import Choice, choose
from maskspace.data.augment import Crop, label_map_at_depth, random_label_map
from maskspace.data.loader import Mixture, open_mixture
from maskspace.models import MODELS
from maskspace.objectives import OBJECTIVES, Objective
from maskspace.objectives.pixels import UNLABELLED
from maskspace.partition import DECODERS, PARTITIONERS
from maskspace.partition.decoded import finest_level
from maskspace.training.colour import recolour
from maskspace.training.config import DistillConfig
from maskspace.training.crops import crop_at, to_float, to_uint8
from maskspace.training.monitors import collapse_verdict, feature_std

_TEACHER = 41  # what a generator is for


class EmbeddingBatch(NamedTuple):
    """Images in [0, 1], label maps as objectives take them, and positions in training's order."""

    images: Float[Tensor, "b 3 s s"]
    labels: Int[Tensor, "b s s"]
    positions: Int[Tensor, " b"]


@dataclass(frozen=True)
class EmbeddingTask:
    """Train the student on label maps of the truth, now and then of the teacher's proposals."""

    config: DistillConfig
    objective: Choice
    train: Mixture
    held_out: Mixture
    proposals: Mixture | None = None

    @cached_property
    def _objective(self) -> Objective:
        return choose(OBJECTIVES, self.objective, kind="objective")()

    @property
    def model(self) -> Choice:
        """Return the student with the heads and the decoder of the objective.

        Colours are read by their merge tree, unless a decoder is asked for.
        """
        objective = self._objective
        heads = {name: asdict(head) for name, head in objective.heads.items()}
        decoder = None if objective.is_colours else asdict(objective.decoder)
        options = {**self.config.model.options, "heads": heads, "decoder": decoder}
        return Choice(name=self.config.model.name, options=options)

    def build(self) -> nn.Module:
        """Return the student."""
        return choose(MODELS, self.model, kind="model")()

    def batch(self, step: int, rows: range) -> EmbeddingBatch:
        """Return rows of a step's batch."""
        positions = [step * self.config.optimisation.batch + row for row in rows]
        return _stack([self._example(position) for position in positions], positions)

    def _example(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        seed = self.config.optimisation.seed
        source, is_taught = self.train, False
        if self.proposals is not None and _share(seed, position) < self.config.teacher_share:
            source, is_taught = self.proposals, True
        crop, generator = crop_at(source, self.config.crops, seed=seed, position=position)
        crop = crop.scored(self.config.min_proposal_score) if is_taught else crop
        labels = random_label_map(crop, generator)
        is_complete = not is_taught and self._is_complete(source, position)
        return to_float(crop.image), _marked(labels, crop, is_complete=is_complete)

    def _is_complete(self, source: Mixture, position: int) -> bool:
        """Return whether what lies outside all masks of a sample is known to be background."""
        name = source.name_at(position, seed=self.config.optimisation.seed)
        return name not in self.config.unlabelled

    def terms(self, model: nn.Module, batch: EmbeddingBatch) -> dict[str, Tensor]:
        """Return each term of the objective at each level, weighted: `pull/4`, `push/1`, ..."""
        config = self.config
        images = recolour(
            batch.images, batch.positions, config.jitter, seed=config.optimisation.seed
        )
        return self._objective.terms(model(images), batch.labels)

    @cached_property
    def _validation(self) -> EmbeddingBatch:
        """Held-out crops at the finest level of their nests, the same at every validation."""
        examples = []
        for row in range(self.config.validation_images):
            seed = self.config.optimisation.seed
            crop, _ = crop_at(self.held_out, self.config.crops, seed=seed, position=row)
            labels = label_map_at_depth(crop, len(crop.masks))
            is_complete = self._is_complete(self.held_out, row)
            examples.append((to_float(crop.image), _marked(labels, crop, is_complete=is_complete)))
        return _stack(examples, range(len(examples)))

    def validate(self, model: nn.Module, picture: Path) -> dict[str, float]:
        """Return the loss terms and the spread of each level on held-out crops."""
        device = next(model.parameters()).device
        images, labels, _ = self._validation
        pieces = [model(piece.to(device)) for piece in images.split(16)]
        joined = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
        with torch.random.fork_rng():
            torch.manual_seed(self.config.optimisation.seed)  # objectives that sample
            found = self._objective.terms(joined, labels.to(device))
        terms = {name: float(value) for name, value in found.items()}
        spread = {f"std/{name}": float(feature_std(output)) for name, output in joined.items()}
        self._draw(joined, picture)
        verdict = collapse_verdict(min(spread.values()))
        figures = {f"val_{name}": value for name, value in (terms | spread).items()}
        return figures | {
            "val_loss": sum(terms.values()),
            "val_collapsed": float(verdict is not None),
        }

    def _draw(self, outputs: dict[str, Tensor], picture: Path) -> None:
        images, labels, _ = self._validation
        rows = []
        for index in range(min(6, len(images))):
            one = {name: output[index].float().cpu() for name, output in outputs.items()}
            shown, truth = to_uint8(images[index]), labels[index].clamp(min=0).numpy()
            rows.append(
                [
                    shown,
                    pictures.paint_labels(shown, truth),
                    *(pictures.feature_colors(output.numpy()) for output in one.values()),
                    pictures.paint_labels(shown, self._regions(one, number=len(np.unique(truth)))),
                ]
            )
        titles = ["input", "truth", *outputs, "partition"]
        pictures.save_image(picture, pictures.contact_sheet(rows, titles=titles, side=128))

    def _regions(
        self, outputs: Mapping[str, Float[Tensor, "_ _ _"]], *, number: int
    ) -> Int32[np.ndarray, "h w"]:
        """Return what the model finds: as many regions as there are true ones, or its decoder's."""
        if self._objective.is_colours:
            return PARTITIONERS["merge_tree"](finest_level(outputs).numpy(), regions=number)
        return choose(DECODERS, self._objective.decoder, kind="decoder")(outputs).labels


def make_embedding_task(
    objective: Choice, *, config: DistillConfig, shards: Path, proposals: Path | None = None
) -> EmbeddingTask:
    """Return the student's task on the shard folders under `shards`, taught by `proposals`."""
    taught = None
    if proposals is not None and config.teacher_share > 0:
        taught = open_mixture(proposals, config.data, "train")
    return EmbeddingTask(
        config=config,
        objective=objective,
        train=open_mixture(shards, config.data, "train"),
        held_out=open_mixture(shards, config.data, "val"),
        proposals=taught,
    )


def _marked(
    labels: Int64[np.ndarray, "s s"], crop: Crop, *, is_complete: bool
) -> Int64[np.ndarray, "s s"]:
    """Return labels with UNLABELLED where nobody knows what a pixel is."""
    unknown = (labels == 0) & (crop.ignore | (not is_complete))
    return np.where(unknown, UNLABELLED, labels)


def _share(seed: int, position: int) -> float:
    """Return a number in [0, 1) that decides who teaches at a position."""
    return float(np.random.default_rng((seed, position, _TEACHER)).random())


def _stack(
    examples: Sequence[tuple[np.ndarray, np.ndarray]], positions: Sequence[int]
) -> EmbeddingBatch:
    images, labels = zip(*examples, strict=True)
    return EmbeddingBatch(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(labels)).long(),
        torch.tensor(positions),
    )
