"""Train a clicker further on other data, which are read where they lie: no shards, no stages."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from maskspace.config import Choice
from maskspace.data.reading import bound_reader
from maskspace.data.source import Source
from maskspace.data.splits import SPLITS, assign_splits, own_splits
from maskspace.data.stream import Mixture
from maskspace.models import save_model
from maskspace.models.click_vit import ClickVit
from maskspace.training.click_task import ClickTask
from maskspace.training.config import ClickerConfig
from maskspace.training.export import export_training
from maskspace.training.loop import LossRow
from maskspace.training.workers import fit_distributed
from maskspace.types import Sample


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset where it lies.

    kind: its reader, one of READERS.
    path: where it is.
    limit: read the first samples only, so many (default None: all).
    options: options of the reader, as text.

    Example:
        >>> Dataset(kind="rectangles", path="", limit=10).limit
        10
    """

    kind: str
    path: str
    limit: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)


def finetune(
    clicker: ClickVit, datasets: Mapping[str, Dataset], out: Path, *, config: ClickerConfig
) -> list[LossRow]:
    """Train a clicker further and write its folder `out`; return the history of validations.

    Progress is kept in `out/run`. Where a training was killed, the same call continues it.
    ValueError for data that cannot be read. Needs a connected Ray.

    Args:
        clicker: the clicker to begin with.
        datasets: name -> the dataset.
        out: folder of the new clicker.
        config: the recipe, see `recipe`.

    Example:
        >>> import tempfile
        >>> import maskspace
        >>> from maskspace.config import choose, load_section
        >>> from maskspace.models import MODELS
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ClickerConfig, "clicker", path=params)
        >>> clicker = choose(MODELS, config.model, kind="model")()
        >>> datasets = {"mine": Dataset(kind="folder", path="no-folder")}
        >>> finetune(clicker, datasets, Path(tempfile.mkdtemp()), config=config)
        Traceback (most recent call last):
            ...
        ValueError: no-folder: no such file or folder; fetch the dataset, or correct the root
    """
    model = Choice(name="click_vit", options=asdict(clicker.architecture))
    initial = (out / "run" / "initial").resolve()
    save_model(clicker, initial, name=model.name, options=model.options, provenance={})
    begun = replace(config, initial=str(initial), backbone=None, model=model)
    make_task = partial(make_finetune_task, begun, dict(datasets))
    task = make_task()
    fit_distributed(make_task, config.optimisation, out / "run", workers=config.workers)
    provenance = {"data": {name: f"{d.kind}:{d.path}" for name, d in datasets.items()}}
    return export_training(task, out / "run", out, provenance=provenance)


def make_finetune_task(config: ClickerConfig, datasets: Mapping[str, Dataset]) -> ClickTask:
    """Return the task on datasets that are read where they lie.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ClickerConfig, "clicker", path=params)
        >>> datasets = {"rectangles": Dataset(kind="rectangles", path="", limit=20)}
        >>> task = make_finetune_task(replace(config, data={"rectangles": 1.0}), datasets)
        >>> len(task.train.datasets["rectangles"]) > len(task.held_out.datasets["rectangles"])
        True
    """
    sources = {name: read_dataset(dataset) for name, dataset in datasets.items()}
    parts = {split: {} for split in ("train", "val")}
    for name, source in sources.items():
        split = assign_splits(source, own_splits(source))
        for part, chosen in parts.items():
            indices = np.flatnonzero(split == SPLITS.index(part))
            if len(indices):
                chosen[name] = _part(source, indices)
    for part, chosen in parts.items():
        if not chosen:
            places = ", ".join(f"{d.kind}:{d.path}" for d in datasets.values())
            raise ValueError(f"{places}: no sample for {part}; give more images")
    train, held_out = (
        Mixture(datasets=chosen, weights=dict.fromkeys(chosen, 1.0) | config.data)
        for chosen in parts.values()
    )
    return ClickTask(config=config, train=train, held_out=held_out)


def recipe(
    base: ClickerConfig,
    *,
    data: Mapping[str, float],
    regime: str | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    workers: int | None = None,
) -> ClickerConfig:
    """Return a section `clicker` changed into a recipe for other data.

    Args:
        base: the section to begin with.
        data: name of a dataset -> its share.
        regime: one of CLICK_SAMPLERS, without corrections; None: as in `base`.
        steps: steps of the training; None: as in `base`.
        learning_rate: the largest rate; None: as in `base`.
        workers: worker processes; None: as in `base`.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> base = load_section(ClickerConfig, "clicker", path=params)
        >>> changed = recipe(base, data={"photos": 1.0}, steps=50, learning_rate=1e-4)
        >>> changed.optimisation.steps, changed.optimisation.learning_rate, changed.data
        (50, 0.0001, {'photos': 1.0})
    """
    optimisation = base.optimisation
    if learning_rate is not None:
        optimisation = replace(optimisation, learning_rate=learning_rate)
    if steps is not None:
        optimisation = optimisation.shortened(steps, min(optimisation.validate_every, steps))
    changed = replace(
        base,
        data=dict(data),
        optimisation=optimisation,
        workers=replace(base.workers, number=workers or base.workers.number),
    )
    if regime is None or regime == base.clicks.name:
        return changed
    return replace(changed, clicks=Choice(name=regime, options={}), rounds=0)


def read_dataset(dataset: Dataset) -> Source:
    """Return the samples of a dataset; each is read when it is asked for.

    ValueError for an unknown option of the reader, and for data that the reader refuses.

    Example:
        >>> len(read_dataset(Dataset(kind="rectangles", path="", limit=3)))
        3
    """
    read = bound_reader(dataset.kind, dataset.options)
    source = read(dataset.path, seed=0, limit=dataset.limit)
    assert isinstance(source, Source)
    return source


def _part(source: Source, indices: np.ndarray) -> Source:
    chosen: list[int] = indices.tolist()
    return Source(
        keys=tuple(str(source.keys[i]) for i in chosen),
        splits=tuple(source.splits[i] for i in chosen),
        read=partial(_chosen, source, chosen),
        categories=source.categories,
    )


def _chosen(source: Source, chosen: list[int], index: int) -> Sample:
    return source.read(chosen[index])
