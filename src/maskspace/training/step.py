"""The two things maskspace trains: a clicker from masks, an embedding from label maps."""

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
from maskspace.data.augment import Crop, label_map_at_depth, random_crop, random_label_map
from maskspace.data.clicks import center_click
from maskspace.data.loader import Mixture, open_mixture
from maskspace.models import MODELS
from maskspace.objectives import MASK_LOSSES, OBJECTIVES
from maskspace.partition import PARTITIONERS
from maskspace.training.config import ClickerConfig, Crops, DistillConfig
from maskspace.training.monitors import collapse_verdict, feature_std


class ClickBatch(NamedTuple):
    """Images in [0, 1]; k clicks an image (row, column, sign); the mask that each one means."""

    images: Float[Tensor, "b 3 s s"]
    clicks: Float[Tensor, "b k 3"]
    masks: Float[Tensor, "b k s s"]


@dataclass(frozen=True)
class ClickTask:
    """Train a clicker: one positive or negative click -> the mask under it."""

    config: ClickerConfig
    train: Mixture
    held_out: Mixture

    def build(self) -> nn.Module:
        """Return the clicker."""
        return choose(MODELS, self.config.model, kind="model")()

    def batch(self, step: int, rows: range) -> ClickBatch:
        """Return rows of a step's batch; images without a mask are drawn again."""
        total = self.config.optimisation.batch
        drawn = [self._example(step * total + row) for row in rows]
        return ClickBatch(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def _example(self, position: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        config, seed = self.config, self.config.optimisation.seed
        for attempt in range(20):
            generator = np.random.default_rng((seed, position, attempt))
            crop = draw_crop(self.train, config.crops, generator)
            areas = crop.masks.sum(axis=(1, 2))
            large = np.flatnonzero(areas >= config.min_pixels)
            if len(large):
                break
        else:
            raise ValueError(f"no mask of {config.min_pixels} pixels in 20 crops; lower min_pixels")
        share = np.sqrt(areas[large]) / np.sqrt(areas[large]).sum()
        chosen = crop.masks[generator.choice(large, config.clicks_per_image, p=share)]
        clicks = np.array([self._click(mask, generator) for mask in chosen], np.float32)
        return to_float(crop.image), clicks, chosen.astype(np.float32)

    def _click(self, mask: np.ndarray, generator: np.random.Generator) -> tuple[int, int, int]:
        if generator.random() < self.config.centre_share:
            click = center_click(mask)
            row, column = click.y, click.x
        else:
            inside = np.flatnonzero(mask)
            row, column = divmod(int(generator.choice(inside)), mask.shape[1])
        return row, column, 1 if generator.random() < self.config.positive_share else -1

    def terms(self, model: nn.Module, batch: ClickBatch) -> dict[str, Tensor]:
        """Return the weighted mask losses."""
        logits = model(batch.images, batch.clicks).flatten(0, 1)
        truth = batch.masks.flatten(0, 1)
        return {
            name: weight * MASK_LOSSES[name](logits, truth)
            for name, weight in self.config.losses.items()
        }

    @cached_property
    def _validation(self) -> ClickBatch:
        """Held-out crops with their clicks, the same at every validation."""
        held = ClickTask(config=self.config, train=self.held_out, held_out=self.held_out)
        number = self.config.validation_images
        drawn = [held._example(row) for row in range(number)]
        return ClickBatch(*(torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True)))

    def validate(self, model: nn.Module, picture: Path) -> dict[str, float]:
        """Return each loss and the mean IoU at one click on held-out crops."""
        device = next(model.parameters()).device
        batch = self._validation
        pieces = [
            model(images.to(device), clicks.to(device)).cpu()
            for images, clicks in zip(batch.images.split(16), batch.clicks.split(16), strict=True)
        ]
        logits, truth = torch.cat(pieces), batch.masks
        predicted, true = logits > 0, truth > 0.5
        iou = (predicted & true).sum((2, 3)) / (predicted | true).sum((2, 3)).clamp(min=1)
        self._draw(batch, logits, picture)
        losses = {
            f"val_{name}": weight
            * float(MASK_LOSSES[name](logits.flatten(0, 1), truth.flatten(0, 1)))
            for name, weight in self.config.losses.items()
        }
        std = float(feature_std(logits.sigmoid()))
        return losses | {
            "val_loss": sum(losses.values()),
            "val_iou": float(iou.mean()),
            "val_std": std,
        }

    def _draw(self, batch: ClickBatch, logits: Tensor, picture: Path) -> None:
        rows = []
        for image, clicks, masks, maps in zip(*(t[:6] for t in (*batch, logits)), strict=True):
            shown = to_uint8(image)
            row, column, _ = clicks[0].long().tolist()
            clicked = shown.copy()
            clicked[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = (255, 255, 0)
            rows.append(
                [
                    clicked,
                    pictures.paint_masks(shown, masks[:1].numpy() > 0.5),
                    pictures.feature_colors(maps[:1].sigmoid().numpy()),
                    pictures.paint_masks(shown, maps[:1].numpy() > 0),
                ]
            )
        titles = ["click", "truth", "probability", "prediction"]
        pictures.save_image(picture, pictures.contact_sheet(rows, titles=titles, side=128))


class EmbeddingBatch(NamedTuple):
    """Images in [0, 1] and one label map each, 0 unlabelled."""

    images: Float[Tensor, "b 3 s s"]
    labels: Int[Tensor, "b s s"]


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
        examples = [self._example(step * self.config.optimisation.batch + row) for row in rows]
        return _stack(examples)

    def _example(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        generator = np.random.default_rng((self.config.optimisation.seed, position))
        source = self.train
        if self.proposals is not None and generator.random() < self.config.teacher_share:
            source = self.proposals
        crop = draw_crop(source, self.config.crops, generator)
        crop = crop.scored(self.config.min_proposal_score) if source is self.proposals else crop
        return to_float(crop.image), random_label_map(crop, generator)

    def terms(self, model: nn.Module, batch: EmbeddingBatch) -> dict[str, Tensor]:
        """Return each term of the objective at each level, weighted: `pull/4`, `push/1`, ..."""
        return self._level_terms(model(batch.images), batch.labels)

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
            generator = np.random.default_rng((self.config.optimisation.seed, row))
            crop = draw_crop(self.held_out, self.config.crops, generator)
            examples.append((to_float(crop.image), label_map_at_depth(crop, len(crop.masks))))
        return _stack(examples)

    def validate(self, model: nn.Module, picture: Path) -> dict[str, float]:
        """Return the loss terms and the spread of each level on held-out crops."""
        device = next(model.parameters()).device
        images, labels = self._validation
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
        images, labels = self._validation
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


def make_click_task(config: ClickerConfig, shards: Path) -> ClickTask:
    """Return the clicker's task on the shard folders under `shards`."""
    return ClickTask(
        config=config,
        train=open_mixture(shards, config.data, "train"),
        held_out=open_mixture(shards, config.data, "val"),
    )


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


def draw_crop(mixture: Mixture, crops: Crops, generator: np.random.Generator) -> Crop:
    """Return a random crop of a random sample."""
    return random_crop(
        mixture.draw(generator),
        size=crops.size,
        min_scale=crops.min_scale,
        colours=crops.colours,
        generator=generator,
    )


def pure_cells(labels: Int[Tensor, "b h w"], stride: int) -> Int[Tensor, "b i j"]:
    """Return the label of each stride x stride cell, 0 where a cell holds more than one."""
    if stride == 1:
        return labels
    least = -F.max_pool2d(-labels[:, None].float(), stride, ceil_mode=True)[:, 0]
    most = F.max_pool2d(labels[:, None].float(), stride, ceil_mode=True)[:, 0]
    return torch.where(least == most, most, 0).long()


def to_float(image: np.ndarray) -> np.ndarray:
    """Return uint8 `h w 3` as float32 `3 h w` in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / 255


def to_uint8(image: Float[Tensor, "3 h w"]) -> np.ndarray:
    """Return float `3 h w` in [0, 1] as uint8 `h w 3`."""
    return (image.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)


def _stack(examples: Sequence[tuple[np.ndarray, np.ndarray]]) -> EmbeddingBatch:
    images, labels = zip(*examples, strict=True)
    return EmbeddingBatch(
        torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels)).long()
    )
