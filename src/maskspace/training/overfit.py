"""Overfit ten images: a student that cannot learn ten images by heart cannot learn at all.

This is the first check of the research notes. It is done twice: with one channel, the brightness,
and with three, the colours. The score compares the truth with a partition into as many regions.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64
from scipy import ndimage
from torch import nn

from maskspace.data.crops import Crop, label_map_at_depth, random_crop
from maskspace.data.shards import open_shards
from maskspace.data.stream import Mixture
from maskspace.masks import from_label_map, pairwise_iou, split_components
from maskspace.partition import PARTITIONERS
from maskspace.partition.decoded import finest_level
from maskspace.shown import keep_shown
from maskspace.targets import Targets
from maskspace.training.checkpoint import PICTURES
from maskspace.training.colour import to_float
from maskspace.training.config import DistillConfig, OverfitConfig
from maskspace.training.drawing import draw_shown
from maskspace.training.embedding_task import EmbeddingBatch, EmbeddingTask
from maskspace.training.feed import FeedPart
from maskspace.training.loop import Worker, fit
from maskspace.training.progress import followed
from maskspace.types import MapUnits, Sample

#: What is trained: the feature of one channel, and the full one of three.
VARIANTS = ("brightness", "colours")
#: Smaller regions join their nearest neighbour: in their score one wrong pixel would decide.
MIN_PIXELS = 16


@dataclass(frozen=True)
class OverfitTask(EmbeddingTask):
    """The student's task with the same few pieces, unchanged, in every batch.

    pieces: the pieces; row i of a batch is piece i, and they begin anew where they end.

    Example:
        >>> from maskspace.config import Choice
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.data.stream import Mixture
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> source = read_rectangles("", seed=0, limit=4)
        >>> mixture = Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})
        >>> config = load_section(DistillConfig, "distill", path=params)
        >>> piece = random_crop(next(iter(source)), config.crops, np.random.default_rng(0))
        >>> task = OverfitTask(
        ...     config=config, objective=Choice(name="balls", options={}), train=mixture,
        ...     held_out=mixture, pieces=(piece,))
        >>> first, later = task.batches([(0, range(2)), (7, range(2))])
        >>> bool((first.images == later.images).all()), len(first.images)
        (True, 2)
    """

    pieces: tuple[Crop, ...] = ()

    def batches(self, parts: Iterable[FeedPart]) -> Iterator[EmbeddingBatch]:
        """Yield the pieces themselves."""
        return (self._batch(rows) for _, rows in parts)

    def _batch(self, rows: range) -> EmbeddingBatch:
        shown = [self.pieces[row % len(self.pieces)] for row in rows]
        return EmbeddingBatch(
            torch.from_numpy(np.stack([to_float(one.image) for one in shown])),
            Targets.of_labels(torch.from_numpy(np.stack([_truth(one) for one in shown]))),
            torch.tensor(rows),
            torch.zeros(len(rows), dtype=torch.long),
            torch.ones(len(rows)),
        )

    def keys(self, step: int) -> list[str]:
        """Return the keys of the images that the pieces are cut from."""
        del step
        return [
            f"{name}/{sample.key}"
            for name, samples in self.train.datasets.items()
            for sample in samples
        ]


def overfit(
    config: OverfitConfig, shards: Path, run: Path, out: Path, *, map_units: MapUnits = map
) -> dict[str, float]:
    """Return the mean best IoU of each variant, in [0, 1]; its partitions are in `out/VARIANT.npz`.

    Args:
        config: the section `overfit`.
        shards: folder of the datasets' shard folders.
        run: the progress of each variant is in `run/VARIANT`.
        out: folder of the partitions.
        map_units: maps a function over the two variants (default `map`).

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(OverfitConfig, "overfit", path=params)
        >>> overfit(config, Path("no-shards"), Path("run"), Path("out"))
        Traceback (most recent call last):
            ...
        ValueError: no-shards/rectangles: no manifest.json; run `dvc repro --pull` to make it
    """
    samples = open_shards(shards / config.dataset, "train")[: config.images]
    unit = partial(_variant, config=config, samples=samples, run=run.resolve(), out=out.resolve())
    runs = {f"overfit {name}": run / name for name in VARIANTS}
    with followed(runs, config.optimisation):
        return dict(zip(VARIANTS, map_units(unit, VARIANTS), strict=True))


def _variant(
    name: str, *, config: OverfitConfig, samples: list[Sample], run: Path, out: Path
) -> float:
    model = _trained(config, samples, name, run / name)
    score = _score(_pieces(config, samples), model, out / f"{name}.npz")
    draw_shown(out / f"{name}.npz", run / name / PICTURES / "partition.png")
    return score


def _pieces(config: OverfitConfig, samples: list[Sample]) -> tuple[Crop, ...]:
    """Return one square of each image, always the same."""
    return tuple(
        random_crop(sample, config.crops, np.random.default_rng(index))
        for index, sample in enumerate(samples)
    )


def _truth(piece: Crop) -> Int64[np.ndarray, "s s"]:
    """Return the label map of the whole objects, every component of at least `MIN_PIXELS`."""
    labels = label_map_at_depth(piece, 0)
    components = split_components(labels + 1)
    small = np.bincount(components.ravel())[components] < MIN_PIXELS
    nearest = np.empty((2, *labels.shape), np.int32)
    ndimage.distance_transform_edt(
        small, return_distances=False, return_indices=True, indices=nearest
    )
    return labels[tuple(nearest)]


def _trained(config: OverfitConfig, samples: list[Sample], variant: str, folder: Path) -> nn.Module:
    objective = {"brightness": config.brightness, "colours": config.colours}[variant]
    mixture = Mixture(datasets={config.dataset: samples}, weights={config.dataset: 1.0})
    recipe = DistillConfig(
        data={config.dataset: 1.0},
        unlabelled=(),
        model=config.model,
        backbone=None,
        crops=config.crops,
        teacher_share=0.0,
        teacher_weight=1.0,
        confidence="none",
        min_proposal_score=0.0,
        max_instances=max(config.crops.size**2, 1),
        jitter=None,
        optimisation=replace(config.optimisation, batch=len(samples)),
        validation_images=len(samples),
        workers=config.workers,
    )
    task = OverfitTask(
        config=recipe,
        objective=objective,
        train=mixture,
        held_out=mixture,
        pieces=_pieces(config, samples),
    )
    torch.set_num_threads(config.workers.threads)
    device = torch.device("cuda" if config.workers.gpu else "cpu")
    return fit(task, recipe.optimisation, folder, worker=Worker(device=device)).cpu()


@torch.inference_mode()
def _score(pieces: tuple[Crop, ...], model: nn.Module, shown: Path) -> float:
    scores = []
    shown_arrays = {"images": [], "truths": [], "features": [], "regions": []}
    for piece in pieces:
        image = torch.from_numpy(to_float(piece.image))[None]
        finest = finest_level({head: x[0] for head, x in model(image).items()}).numpy()
        truth = _truth(piece)
        number = int(split_components(truth + 1).max())
        regions = PARTITIONERS["merge_tree"](finest, regions=number)
        _, true = from_label_map(truth)
        _, predicted = from_label_map(regions)
        # not the metrics package: a changed metric trains nothing again
        scores.append(pairwise_iou(predicted, true).max(axis=0).mean())
        for name, array in zip(shown_arrays, (piece.image, truth, finest, regions), strict=True):
            shown_arrays[name].append(array)
    arrays = {name: np.stack(list_) for name, list_ in shown_arrays.items()}
    keep_shown(shown, arrays, about={"kind": "pieces"})
    return float(np.mean(scores))
