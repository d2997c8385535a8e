"""The teacher's answers as training data: masks from a grid of clicks on each image, in shards."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from maskspace.config import section
from maskspace.data.annotations import annotate_proposals
from maskspace.data.shards import (
    ShardFacts,
    finished_shard,
    open_shards,
    write_manifest,
    write_shard,
)
from maskspace.models import load_model
from maskspace.partition.grid_clicks import ClickGrid, propose_from_clicks
from maskspace.types import MapUnits, Sample, read_rgb


@section
class ProposalsConfig:
    """Section `proposals`: the teacher's masks on the training images, from a grid of clicks.

    Args:
        images_per_dataset: images of a dataset at most; null: all.
        images_per_shard: images in a shard, >= 1.
        limit: masks of an image that are kept at most, >= 1.
        grid: the clicks and how their masks are chosen.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ProposalsConfig, "proposals", path=params)
        >>> config.limit, config.grid.per_side
        (40, 8)
    """

    images_per_dataset: int | None
    images_per_shard: int
    limit: int
    grid: ClickGrid

    def __post_init__(self) -> None:
        """Refuse values outside these ranges."""
        if min(self.images_per_shard, self.limit) < 1:
            raise ValueError("images_per_shard and limit must be at least 1")


@dataclass(frozen=True)
class _Unit:
    """Some images of a dataset's training split, and the shard that their proposals become."""

    source: Path
    images: range
    path: Path


def write_proposals(
    shards: Path,
    names: Iterable[str],
    clicker: Path,
    folder: Path,
    config: ProposalsConfig,
    *,
    map_units: MapUnits,
) -> dict[str, int]:
    """Write `folder/NAME` with proposals in place of annotations; return masks by dataset.

    A shard is the unit of work: those that are already in `folder` are kept.

    Args:
        shards: folder of the datasets' shard folders.
        names: the datasets.
        clicker: folder of the teacher.
        folder: where the shards with proposals go.
        config: the section `proposals`.
        map_units: maps a function over shards, here or on a cluster.

    Example:
        >>> import maskspace
        >>> from maskspace.config import load_section
        >>> params = Path(maskspace.__file__).parents[2] / "params.yaml"  # of the repository
        >>> config = load_section(ProposalsConfig, "proposals", path=params)
        >>> folder, clicker = Path("proposals"), Path("clicker")
        >>> names = ["rectangles"]
        >>> write_proposals(Path("no-shards"), names, clicker, folder, config, map_units=map)
        Traceback (most recent call last):
            ...
        ValueError: no-shards/rectangles: no manifest.json; run `dvc repro --pull` to make it
    """
    units = [unit for name in names for unit in _units(shards / name, folder / name, config)]
    propose = partial(_write_unit, clicker=clicker.resolve(), config=config)
    by_folder: dict[Path, list[ShardFacts]] = {}
    for unit, facts in zip(units, map_units(propose, units), strict=True):
        by_folder.setdefault(unit.path.parent, []).append(facts)
    for target, facts in by_folder.items():
        write_manifest(target, facts, dataset=target.name, details={"proposals": asdict(config)})
    return {target.name: sum(f.masks for f in facts) for target, facts in by_folder.items()}


def _units(source: Path, target: Path, config: ProposalsConfig) -> list[_Unit]:
    target.mkdir(parents=True, exist_ok=True)
    total = len(open_shards(source, "train"))
    total = min(total, config.images_per_dataset or total)
    step = config.images_per_shard
    return [
        _Unit(
            source=source.resolve(),
            images=range(start, min(start + step, total)),
            path=target.resolve() / f"train-{start // step:06d}.tar",
        )
        for start in range(0, total, step)
    ]


def _write_unit(unit: _Unit, *, clicker: Path, config: ProposalsConfig) -> ShardFacts:
    facts = finished_shard(unit.path)
    if facts is not None:
        return facts
    torch.set_num_threads(1)
    opened = open_shards(unit.source, "train")
    model = _loaded(clicker)
    return write_shard(unit.path, (_proposed(opened[i], model, config) for i in unit.images))


@cache
def _loaded(folder: Path) -> nn.Module:
    return load_model(folder)


def _proposed(sample: Sample, model: nn.Module, config: ProposalsConfig) -> Sample:
    proposals = propose_from_clicks(
        model,  # pyright: ignore[reportArgumentType]
        read_rgb(sample.image),
        limit=config.limit,
        grid=config.grid,
    )
    return replace(sample, annotations=annotate_proposals(proposals))


def summary(masks: Mapping[str, int]) -> str:
    """Return one line with the number of proposals of each dataset.

    Example:
        >>> summary({"rectangles": 1280, "scenes": 960})
        'rectangles 1280 proposals, scenes 960 proposals'
    """
    return ", ".join(f"{name} {count} proposals" for name, count in masks.items())
