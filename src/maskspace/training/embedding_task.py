"""What the student is trained on: label maps of the truth, now and then of the teacher's masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace import pictures
from maskspace.config import Choice, choose
from maskspace.data.augment import label_map_at_depth, random_label_map
from maskspace.data.loader import Mixture, open_mixture
from maskspace.models import MODELS
from maskspace.objectives import OBJECTIVES
from maskspace.partition import PARTITIONERS
from maskspace.training.colour import recolour
from maskspace.training.config import DistillConfig
from maskspace.training.crops import crop_at, to_float, to_uint8
from maskspace.training.monitors import collapse_verdict, feature_std

_TEACHER = 41  # what a generator is for


class EmbeddingBatch(NamedTuple):
    """Images in [0, 1], one label map each, 0 unlabelled, and positions in training's order."""

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

    def build(self) -> nn.Module:
        """Return the student."""
        return choose(MODELS, self.config.model, kind="model")()

    def batch(self, step: int, rows: range) -> EmbeddingBatch:
        """Return rows of a step's batch."""
        positions = [step * self.config.optimisation.batch + row for row in rows]
        return _stack([self._example(position) for position in positions], positions)

    def _example(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        seed = self.config.optimisation.seed
        source = self.train
        if self.proposals is not None and _share(seed, position) < self.config.teacher_share:
            source = self.proposals
        crop, generator = crop_at(source, self.config.crops, seed=seed, position=position)
        crop = crop.scored(self.config.min_proposal_score) if source is self.proposals else crop
        return to_float(crop.image), random_label_map(crop, generator)

    def terms(self, model: nn.Module, batch: EmbeddingBatch) -> dict[str, Tensor]:
        """Return each term of the objective at each level, weighted: `pull/4`, `push/1`, ..."""
        config = self.config
        images = recolour(
            batch.images, batch.positions, config.jitter, seed=config.optimisation.seed
        )
        return self._level_terms(model(images), batch.labels)

    def _level_terms(self, levels: dict[int, Tensor], labels: Tensor) -> dict[str, Tensor]:
        objective = choose(OBJECTIVES, self.objective, kind="objective")
        total = sum(self.config.level_weights.values())
        return {
            f"{name}/{stride}": weight / total * value
            for stride, weight in self.config.level_weights.items()
            for name, value in objective(
                levels[int(stride)], pure_cells(labels, int(stride))
            ).items()
        }

    @cached_property
    def _validation(self) -> EmbeddingBatch:
        """Held-out crops at the finest level of their nests, the same at every validation."""
        examples = []
        for row in range(self.config.validation_images):
            seed = self.config.optimisation.seed
            crop, _ = crop_at(self.held_out, self.config.crops, seed=seed, position=row)
            examples.append((to_float(crop.image), label_map_at_depth(crop, len(crop.masks))))
        return _stack(examples, range(len(examples)))

    def validate(self, model: nn.Module, picture: Path) -> dict[str, float]:
        """Return the loss terms and the spread of each level on held-out crops."""
        device = next(model.parameters()).device
        images, labels, _ = self._validation
        levels: dict[int, list[Tensor]] = {}
        for piece in images.split(16):
            for stride, level in model(piece.to(device)).items():
                levels.setdefault(stride, []).append(level)
        joined = {stride: torch.cat(pieces) for stride, pieces in levels.items()}
        terms = {k: float(v) for k, v in self._level_terms(joined, labels.to(device)).items()}
        spread = {f"std/{stride}": float(feature_std(level)) for stride, level in joined.items()}
        self._draw(joined, picture)
        verdict = collapse_verdict(min(spread.values()))
        figures = {f"val_{name}": value for name, value in (terms | spread).items()}
        return figures | {
            "val_loss": sum(terms.values()),
            "val_collapsed": float(verdict is not None),
        }

    def _draw(self, levels: dict[int, Tensor], picture: Path) -> None:
        images, labels, _ = self._validation
        arrays = {s: level[:6].float().cpu().numpy() for s, level in sorted(levels.items())}
        rows = []
        for index in range(min(6, len(images))):
            shown, truth = to_uint8(images[index]), labels[index].numpy()
            finest = arrays[min(arrays)][index]
            regions = PARTITIONERS["merge_tree"](finest, regions=len(np.unique(truth)))
            rows.append(
                [
                    shown,
                    pictures.paint_labels(shown, truth),
                    *(pictures.feature_colors(level[index]) for level in arrays.values()),
                    pictures.paint_labels(shown, regions),
                ]
            )
        titles = ["input", "truth", *(f"features 1/{s}" for s in arrays), "partition"]
        pictures.save_image(picture, pictures.contact_sheet(rows, titles=titles, side=128))


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


def _share(seed: int, position: int) -> float:
    """Return a number in [0, 1) that decides who teaches at a position."""
    return float(np.random.default_rng((seed, position, _TEACHER)).random())


def pure_cells(labels: Int[Tensor, "b h w"], stride: int) -> Int[Tensor, "b i j"]:
    """Return the label of each stride x stride cell, 0 where a cell holds more than one."""
    if stride == 1:
        return labels
    least = -F.max_pool2d(-labels[:, None].float(), stride, ceil_mode=True)[:, 0]
    most = F.max_pool2d(labels[:, None].float(), stride, ceil_mode=True)[:, 0]
    return torch.where(least == most, most, 0).long()


def _stack(
    examples: Sequence[tuple[np.ndarray, np.ndarray]], positions: Sequence[int]
) -> EmbeddingBatch:
    images, labels = zip(*examples, strict=True)
    return EmbeddingBatch(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(labels)).long(),
        torch.tensor(positions),
    )
