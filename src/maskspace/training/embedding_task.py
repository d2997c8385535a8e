"""What the student is trained on: label maps of the truth, now and then of the teacher's masks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor, nn

from maskspace.bundled import INSTALLED, model_folder
from maskspace.config import Choice, choose
from maskspace.data.categories import Classes, joint_classes
from maskspace.data.crops import Crop, label_map_at_depth, random_crop, random_label_map
from maskspace.data.stream import Mixture, Turn, join_mixtures, open_mixture, stream
from maskspace.files import AnyPath
from maskspace.heads import heads_as_options
from maskspace.models import MODELS
from maskspace.models.imagenet import load_imagenet, load_installed
from maskspace.models.weights import load_trunk
from maskspace.objectives import OBJECTIVES, Objective
from maskspace.shown import NUMBER, keep_shown
from maskspace.targets import NONE, UNLABELLED, Targets
from maskspace.training.colour import recolour, to_float, to_uint8
from maskspace.training.config import DistillConfig, Optimisation
from maskspace.training.diagnosis import output_figures, term_figures
from maskspace.training.feed import FeedPart, positions_of
from maskspace.training.monitors import collapse_verdict
from maskspace.types import Sample

_TAUGHT = "proposals/"  # what the names of datasets begin with that the teacher has labelled
_WEIGHT_STEPS = 20  # of weights in 1
_AT_ONCE = 16  # images of a pass in validation
_WATCHED = 8  # validation images that are looked at between validations


class EmbeddingBatch(NamedTuple):
    """Images in [0, 1], their truth as objectives take it, and positions in training's order.

    `left_out` counts the instances of each image beyond the most that are allowed; `weights` are
    what each image counts in the loss, in twentieths.

    Example:
        >>> batch = EmbeddingBatch(
        ...     images=torch.zeros(1, 3, 4, 4),
        ...     targets=Targets.of_labels(torch.ones(1, 4, 4, dtype=torch.long)),
        ...     positions=torch.arange(1), left_out=torch.zeros(1, dtype=torch.long),
        ...     weights=torch.ones(1))
        >>> batch.targets.size_hw
        (4, 4)
    """

    images: Float[Tensor, "b 3 h w"]
    targets: Targets
    positions: Int[Tensor, " b"]
    left_out: Int[Tensor, " b"]
    weights: Float[Tensor, " b"]


class _Example(NamedTuple):
    """One image of a batch."""

    image: Float[np.ndarray, "3 s s"]
    targets: Targets
    position: int
    left_out: int
    weight: float = 1.0


@dataclass(frozen=True)
class EmbeddingTask:
    """Train the student on label maps of the truth, and on a share of the teacher's proposals.

    Args:
        config: the section `distill`.
        objective: one of OBJECTIVES with its options.
        train, held_out: the samples to train on, and those of validations.
        proposals: samples whose masks are the teacher's proposals (default None: the truth alone).
        decoder: reads the outputs in place of the objective's own decoder (default None: its own).

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> source = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> objective = Choice(name="balls", options={})
        >>> task = EmbeddingTask(
        ...     config=config, objective=objective, train=mixture, held_out=mixture)
        >>> batch = next(task.batches([(0, range(2))]))  # two rows of the batch of step 0
        >>> batch.images.shape[0], batch.images.shape[2:] == batch.targets.size_hw
        (2, True)
    """

    config: DistillConfig
    objective: Choice
    train: Mixture
    held_out: Mixture
    proposals: Mixture | None = None
    decoder: Choice | None = None

    @cached_property
    def _objective(self) -> Objective:
        chosen = choose(OBJECTIVES, self.objective, kind="objective")()
        return chosen if self.decoder is None else replace(chosen, decoder=self.decoder)

    @cached_property
    def _classes(self) -> Classes:
        """The classes of the training's datasets; as many as the objective tells apart."""
        datasets = self.train.datasets.items()
        classes = joint_classes({name: getattr(one, "categories", ()) for name, one in datasets})
        number = self._objective.classes
        if number and number != len(classes.table):
            raise ValueError(
                f"objective {self.objective.name}: tells {number} classes apart, the training data "
                f"have {len(classes.table)}; set its option `classes` to that"
            )
        return classes

    @property
    def model(self) -> Choice:
        """Return the student with the heads and the decoder of the objective.

        An objective of the colour family has no decoder, unless one is given: its colours are read
        by their merge tree.
        """
        objective = self._objective
        heads = heads_as_options(objective.heads)
        is_tree = objective.is_colours and self.decoder is None
        decoder = None if is_tree else asdict(objective.decoder)
        options = {**self.config.model.options, "heads": heads, "decoder": decoder}
        if objective.classes:
            options["categories"] = [asdict(one) for one in self._classes.table]
        return Choice(name=self.config.model.name, options=options)

    def build(self) -> nn.Module:
        """Return the student, with the weights of `initial`, of ImageNet, or fresh ones."""
        model = choose(MODELS, self.model, kind="model")()
        if self.config.initial is not None:
            load_trunk(model, model_folder(self.config.initial))
        elif self.config.backbone == INSTALLED:
            load_installed(model.backbone)
        elif self.config.backbone is not None:
            load_imagenet(model.backbone, Path(self.config.backbone))
        return model

    @cached_property
    def _samples(self) -> Mixture:
        """What is trained on: the truth, and the proposals by their share of all images."""
        if self.proposals is None:
            return self.train
        parts = {"": (self.train, 1 - self.config.teacher_share)}
        parts[_TAUGHT] = self.proposals, self.config.teacher_share
        return join_mixtures(parts)

    @property
    def sequence(self) -> dict[str, object]:
        """Return the values that decide on the order of the samples."""
        recipe = self.config.optimisation
        return {**self._samples.order(seed=recipe.seed).sequence, "batch": recipe.batch}

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[EmbeddingBatch]:
        """Yield rows of batches."""
        recipe = self.config.optimisation
        positions = positions_of(parts, batch=recipe.batch)
        for examples in stream(self._samples, self._example, positions, seed=recipe.seed):
            yield _stack(examples)

    def keys(self, step: int) -> list[str]:
        """Return `DATASET/KEY` of the samples of a step's batch, of all workers together.

        A record that turned out corrupt is named by its own key, not by that of its replacement.
        One that the teacher has labelled is `proposals/DATASET/KEY`.
        """
        recipe = self.config.optimisation
        positions = range(step * recipe.batch, (step + 1) * recipe.batch)
        return [self._samples.key_at(position, seed=recipe.seed) for position in positions]

    def counts(self, batch: EmbeddingBatch) -> dict[str, Tensor]:
        """Return the mean number of instances that are left out of an image."""
        return {"left_out": batch.left_out.float().mean()}

    def _example(self, sample: Sample, turn: Turn) -> _Example:
        config, generator = self.config, turn.generator()
        is_taught = turn.dataset.startswith(_TAUGHT)
        least_score = config.min_proposal_score if is_taught else 0.0
        crop = random_crop(sample, config.crops, generator, least_score=least_score)
        labels = random_label_map(crop, generator)
        example = self._labelled(crop, labels, turn)
        return example._replace(weight=self._taught_weight(crop, labels)) if is_taught else example

    def _taught_weight(self, crop: Crop, labels: Int64[np.ndarray, "s s"]) -> float:
        """Return what a taught image weighs, rounded so that a batch has few different weights."""
        weight = self.config.teacher_weight
        if self.config.confidence == "score":
            weight *= confidence(crop, labels)
        return round(weight * _WEIGHT_STEPS) / _WEIGHT_STEPS

    def _labelled(self, crop: Crop, labels: Int64[np.ndarray, "s s"], turn: Turn) -> _Example:
        """Return an image with its truth, UNLABELLED where nobody knows what a pixel is.

        `labels` is the level of the nest that objectives of label maps see; others see all masks.
        What lies outside of all masks is background, but not of every dataset, and never where the
        teacher has labelled.
        """
        is_complete = turn.dataset not in self.config.unlabelled
        is_complete &= not turn.dataset.startswith(_TAUGHT)
        unknown = crop.ignore | (not is_complete)
        if self._objective.wants == "masks":
            targets, left_out = self._all_masks(crop, unknown, turn.dataset)
        else:
            labels = np.where((labels == 0) & unknown, UNLABELLED, labels)
            labels, left_out = limited(labels, self.config.max_instances)
            targets = Targets.of_labels(torch.from_numpy(labels)[None])
        return _Example(to_float(crop.image), targets, turn.position, left_out)

    def _all_masks(
        self, crop: Crop, unknown: Bool[np.ndarray, "s s"], dataset: str
    ) -> tuple[Targets, int]:
        """Return all masks of a crop but the smallest above `max_instances`, and their number."""
        index = self._classes.index.get(dataset, {})
        areas = crop.masks.sum((1, 2))
        largest = np.sort(np.argsort(-areas, kind="stable")[: self.config.max_instances])
        dropped = np.delete(crop.masks, largest, axis=0)
        targets = Targets.of_masks(
            crop.masks[largest],
            classes=[index.get(int(category), NONE) for category in crop.categories[largest]],
            annotators=crop.layers[largest].tolist(),
            unknown=unknown | dropped.any(axis=0),
        )
        return targets, len(dropped)

    def terms(self, model: nn.Module, batch: EmbeddingBatch) -> dict[str, Tensor]:
        """Return each term of the objective at each level, weighted: `pull/4`, `push/1`, ...

        Images of one weight make one call of the objective, and its terms count as often as there
        are such images, times the weight, over the size of the batch. ValueError for labels of
        another size than the images.
        """
        config = self.config
        size_hw = tuple(batch.images.shape[2:])
        if size_hw != batch.targets.size_hw:
            raise ValueError(
                f"batch: targets are {batch.targets.size_hw}, images {size_hw} (h, w); "
                "make them one size"
            )
        images = recolour(
            batch.images, batch.positions, config.jitter, seed=config.optimisation.seed
        )
        return weighted_terms(self._objective.terms, model(images), batch.targets, batch.weights)

    @cached_property
    def _validation(self) -> EmbeddingBatch:
        """Held-out crops at the finest level of their nests, the same at every validation."""
        rows = range(self.config.validation_images)
        seed = self.config.optimisation.seed
        return _stack(next(stream(self.held_out, self._held_out_example, [rows], seed=seed)))

    def _held_out_example(self, sample: Sample, turn: Turn) -> _Example:
        crop = random_crop(sample, self.config.crops, turn.generator())
        return self._labelled(crop, label_map_at_depth(crop, len(crop.masks)), turn)

    def validate(self, model: nn.Module, shown: Path) -> dict[str, float]:
        """Return the loss terms on held-out crops, the figures of `diagnosis`, and `val_collapsed`.

        The gradients of the terms are those of the first 16 crops.
        """
        outputs, targets = self._outputs(model, self.config.validation_images)
        with torch.random.fork_rng():
            torch.manual_seed(self.config.optimisation.seed)  # objectives that sample
            values = self._objective.terms(outputs, targets)
            first_outputs = {name: output[:_AT_ONCE] for name, output in outputs.items()}
            gradients = term_figures(self._objective, first_outputs, targets.rows(slice(_AT_ONCE)))
        terms = {name: float(value) for name, value in values.items()}
        spread = output_figures(outputs, targets.labels(), heads=self._objective.heads)
        self._keep(outputs, shown)
        left_out = float(self._validation.left_out.float().mean())
        figures = {
            **terms,
            **spread,
            **gradients,
            "left_out": left_out,
            "loss": sum(terms.values()),
        }
        figures["collapsed"] = float(collapse_verdict(figures) is not None)
        return {f"val_{name}": value for name, value in figures.items()}

    def watch(self, model: nn.Module) -> dict[str, float]:
        """Return the figures by which a collapse shows, on a few held-out crops."""
        outputs, targets = self._outputs(model, _WATCHED)
        with torch.random.fork_rng():
            torch.manual_seed(self.config.optimisation.seed)
            gradients = term_figures(self._objective, outputs, targets)
        spread = output_figures(outputs, targets.labels(), heads=self._objective.heads)
        return {**spread, **gradients}

    def _outputs(self, model: nn.Module, number: int) -> tuple[dict[str, Tensor], Targets]:
        """Return the outputs for the first held-out crops and their truth, on the device.

        ValueError, with the keys of the crops, for an output that is NaN or infinite.
        """
        device = next(model.parameters()).device
        images = self._validation.images[:number]
        pieces = [model(piece.to(device)) for piece in images.split(_AT_ONCE)]
        outputs = {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}
        for name, output in outputs.items():
            broken = (~output.isfinite()).flatten(1).any(1).nonzero().flatten().tolist()
            if broken:
                seed = self.config.optimisation.seed
                keys = ", ".join(self.held_out.key_at(row, seed=seed) for row in broken)
                raise ValueError(
                    f"validation: head {name} is NaN or infinite for {keys}; lower learning_rate"
                )
        return outputs, self._validation.targets.rows(slice(number)).to(device)

    def _keep(self, outputs: Mapping[str, Tensor], shown: Path) -> None:
        """Write the first held-out crops with their labels and the outputs for them."""
        options = self.model.options
        about = {"kind": "embedding", "heads": options["heads"], "decoder": options["decoder"]}
        images, labels = self._validation.images[:NUMBER], self._validation.targets.labels()
        arrays = {f"head {name}": x[:NUMBER].float().cpu().numpy() for name, x in outputs.items()}
        arrays |= {
            "images": np.stack([to_uint8(image) for image in images]),
            "labels": labels[:NUMBER].numpy(),
        }
        keep_shown(shown, arrays, about=about)


def make_embedding_task(
    objective: Choice,
    *,
    config: DistillConfig,
    shards: str | AnyPath,
    proposals: str | AnyPath | None = None,
    decoder: Choice | None = None,
) -> EmbeddingTask:
    """Return the student's task.

    Args:
        objective: one of OBJECTIVES with its options.
        config: the section `distill`.
        shards: folder of the datasets' shard folders, a path or a URL.
        proposals: such a folder of the teacher's proposals (default None: the truth alone teaches).
        decoder: reads the outputs in place of the objective's own decoder (default None: its own).

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> objective = Choice(name="balls", options={})
        >>> make_embedding_task(objective, config=config, shards=Path("no-shards"))
        Traceback (most recent call last):
            ...
        ValueError: no-shards/rectangles: no manifest.json; run `dvc repro --pull` to make it
    """
    proposed = None
    if proposals is not None and config.teacher_share > 0:
        proposed = open_mixture(proposals, config.data, "train")
    return EmbeddingTask(
        config=config,
        objective=objective,
        train=open_mixture(shards, config.data, "train"),
        held_out=open_mixture(shards, config.data, "val"),
        proposals=proposed,
        decoder=decoder,
    )


def make_sweep_task(
    objective: Choice, optimisation: Optimisation, *, config: DistillConfig, shards: str | AnyPath
) -> EmbeddingTask:
    """Return the student's task with another recipe; the truth alone teaches.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> recipe = config.optimisation.shortened(10, 5)
        >>> objective = Choice(name="balls", options={})
        >>> make_sweep_task(objective, recipe, config=config, shards=Path("no-shards"))
        Traceback (most recent call last):
            ...
        ValueError: no-shards/rectangles: no manifest.json; run `dvc repro --pull` to make it
    """
    return make_embedding_task(
        objective, config=replace(config, optimisation=optimisation), shards=shards
    )


def limited(labels: Int64[np.ndarray, "h w"], most: int) -> tuple[Int64[np.ndarray, "h w"], int]:
    """Return labels with at most `most` instances, and the number of those dropped.

    The smallest instances become UNLABELLED; of equal ones the lower label stays.

    Example:
        >>> labels = np.array([[1, 1, 1, 2, 3, 3]])
        >>> limited(labels, 2)  # the smallest instance becomes UNLABELLED
        (array([[ 1,  1,  1, -1,  3,  3]]), 1)
    """
    ids, areas = np.unique(labels[labels > 0], return_counts=True)
    if len(ids) <= most:
        return labels, 0
    dropped = ids[np.lexsort((ids, -areas))[most:]]
    return np.where(np.isin(labels, dropped), UNLABELLED, labels), len(dropped)


def confidence(crop: Crop, labels: Int64[np.ndarray, "s s"]) -> float:
    """Return the mean score of the masks over the pixels that they label; 0 without such pixels.

    The mask of a label is the smallest one that holds all its pixels. The scores of other masks do
    not
    count: masks of the same pixels, and nested ones that are not drawn at this level.

    Example:
        >>> masks = np.zeros((2, 4, 4), bool)
        >>> masks[0, :, :2], masks[1, :2, :2] = True, True  # a part in an object
        >>> crop = Crop(
        ...     image=np.zeros((4, 4, 3), np.uint8), masks=masks, depths=np.array([0, 1]),
        ...     scores=np.array([1.0, 0.5], np.float32), layers=np.zeros(2, int),
        ...     categories=np.full(2, -1), ignore=np.zeros((4, 4), bool))
        >>> labels = np.where(masks[1], 2, np.where(masks[0], 1, 0))
        >>> confidence(crop, labels)  # 4 pixels of the object at 1.0, 4 of the part at 0.5
        0.75
    """
    total, pixels = 0.0, 0
    for label in np.unique(labels[labels > 0]):
        inside = labels == label
        # the mask drawn is the smallest of those that hold all its visible pixels
        holds = crop.masks[:, inside].all(axis=1)
        areas = np.where(holds, crop.masks.sum((1, 2)), np.inf)
        total += float(crop.scores[areas.argmin()]) * int(inside.sum())
        pixels += int(inside.sum())
    return total / max(pixels, 1)


def weighted_terms(
    terms: Callable[[Mapping[str, Tensor], Targets], dict[str, Tensor]],
    outputs: Mapping[str, Tensor],
    targets: Targets,
    weights: Float[Tensor, " b"],
) -> dict[str, Tensor]:
    """Return the terms of a batch whose images have different weights.

    The images of one weight make a call of `terms`; its terms count by their number times the
    weight, divided by the size of the batch. If all weights are 1 these are the objective's own
    terms.

    Example:
        >>> targets = Targets.of_labels(torch.ones(2, 4, 4, dtype=torch.long))
        >>> outputs = {"1": torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)}
        >>> terms = lambda outputs, targets: {"mean": outputs["1"].mean()}
        >>> weighted_terms(terms, outputs, targets, torch.tensor([1.0, 0.5]))  # (1 + 0.5 * 3) / 2
        {'mean': tensor(1.2500)}
    """
    weight_of_image = weights.tolist()
    if len(set(weight_of_image)) == 1:
        values = terms(outputs, targets)
        return {name: value * weight_of_image[0] for name, value in values.items()}
    total: dict[str, Tensor] = {}
    for weight in sorted(set(weight_of_image)):
        rows = weights == weight
        share = weight * weight_of_image.count(weight) / len(weight_of_image)
        part = {name: output[rows] for name, output in outputs.items()}
        for name, value in terms(part, targets.rows(rows)).items():
            total[name] = total.get(name, 0.0) + share * value
    return total


def _stack(examples: Sequence[_Example]) -> EmbeddingBatch:
    images, targets, positions, left_out, weights = zip(*examples, strict=True)
    return EmbeddingBatch(
        torch.from_numpy(np.stack(images)),
        Targets.join(targets),
        torch.tensor(positions),
        torch.tensor(left_out),
        torch.tensor(weights, dtype=torch.float32),
    )
