"""Drive a model through clicks: IoU after every click, and how local each correction was.

A click is placed by the mask that the clicks before gave, cut at the threshold of the run. So each
clicker, threshold and mode is a run of its own; they share what the model computed once for the
image. Several masks go through a run together, so that a model is asked for many maps at once and
memory stays bounded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool

from maskspace.data.clicks import CLICKERS
from maskspace.evaluation.answers import (
    Answers,
    Maps,
    answers,
    click_maps,
    why_unanswered,
)
from maskspace.evaluation.asking import Asked, Refusal
from maskspace.evaluation.config import ClickRun, InteractiveConfig
from maskspace.evaluation.measures.measure import Measure
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.metrics.clicks_to_iou import click_iou, iou_at_levels
from maskspace.metrics.locality import change
from maskspace.types import Click

#: Pixels of the masks that go through a loop together: six bytes each at one click, and 22 at more.
PIXELS_AT_ONCE = 1 << 24


@dataclass(frozen=True, kw_only=True)
class Clicked:
    """The outcome of all runs on one image, one value for each mask in the order of the truth.

    ious: run -> IoU after each click.
    changes: run -> for each further click the pixels that it changed, and those of them outside the
        error region.
    best_level: clicker -> IoU of the first click's map, cut at the best level.
    parts: (run, measure) -> what the measure returned for the mask after the first click.

    Example:
        >>> clicked = Clicked(ious={"center": [[0.5, 0.8]]}, changes={}, best_level={}, parts={})
        >>> clicked.ious["center"][0]  # the first mask, after one click and after two
        [0.5, 0.8]
    """

    ious: Mapping[str, Sequence[Sequence[float]]]
    changes: Mapping[str, Sequence[Sequence[tuple[int, int]]]]
    best_level: Mapping[str, Sequence[float]]
    parts: Mapping[tuple[str, str], Sequence[Any]]

    def of(self, measure: Measure) -> Sequence[Any]:
        """Return what a measure returned for each mask after its run's first click, or the IoU."""
        if measure.of_part is None:
            return [ious[0] for ious in self.ious[measure.run]]
        return self.parts[measure.run, measure.name]


@dataclass(frozen=True, kw_only=True)
class _Game:
    """One mask in a run."""

    clicks: list[Click] = field(default_factory=list)
    ious: list[float] = field(default_factory=list)
    changes: list[tuple[int, int]] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)


def click_masks(
    model: Segmenter,
    truth: Truth,
    config: InteractiveConfig,
    asked: Asked,
    measures: Iterable[Measure] = (),
) -> Clicked:
    """Return the outcome of every run of the protocol.

    A refused run stands in `asked.not_answered` as `click_` and its name. If the model answers no
    click at all, it stands there as `click`.

    Args:
        model: the model.
        truth: the image and its masks.
        config: the runs.
        asked: takes the time of the answers, and the refusals.
        measures: are given the masks after the first click of their runs (default: none).

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> class Whole(Segmenter):  # answers every click with the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"click"})
        ...
        ...     def click(self, image, clicks):
        ...         return np.ones(image.shape[:2], bool)
        >>> clicked = click_masks(Whole(), truth, config.interactive, Asked())
        >>> shares = [mask.mean() for mask in truth.masks]
        >>> np.allclose(
        ...     [ious[0] for ious in clicked.ious["center"]], shares
        ... )  # IoU with the whole image
        True
    """
    of_part = {(m.run, m.name): m.of_part for m in measures if m.of_part is not None}
    games: dict[str, list[_Game]] = {}
    best_ious: dict[str, list[float]] = {}
    refusals = {run: why_unanswered(model, run) for run in config.runs}
    asked.not_answered |= {f"click_{run.name}": why for run, why in refusals.items() if why}
    runs = [run for run, why in refusals.items() if why is None]
    for clicker in dict.fromkeys(run.clicker for run in runs):
        of_clicker = [run for run in runs if run.clicker == clicker]
        for indices in _batches(truth):
            first_clicks = [
                first_click(truth, index, clicker, seed=config.seed) for index in indices
            ]
            maps = _first_maps(model, truth, first_clicks, asked)
            for run in of_clicker:
                try:
                    answering = answers(model, truth.image, run, asked, maps)
                    measures_of_run = {
                        name: measure
                        for (of_run, name), measure in of_part.items()
                        if of_run == run.name
                    }
                    played = _play(answering, truth, indices, run, config, measures_of_run)
                except Refusal as refusal:
                    question = f"click_{run.name}" if run.mode == "iterative" else "click"
                    asked.not_answered[question] = str(refusal)
                else:
                    games.setdefault(run.name, []).extend(played)
            if config.levels and clicker in config.first_clickers:
                best_ious.setdefault(clicker, []).extend(
                    _best_levels(truth, indices, first_clicks, maps, config.levels)
                )
    # A refusal at some of the masks is one for all.
    complete = {run: games[run.name] for run in runs if _whole(games, run, truth)}
    return Clicked(
        ious={run.name: [game.ious for game in played] for run, played in complete.items()},
        changes={
            run.name: [game.changes for game in played]
            for run, played in complete.items()
            if run.clicks > 1
        },
        best_level={way: ious for way, ious in best_ious.items() if len(ious) == len(truth.masks)},
        parts={
            (run.name, name): [game.parts[name] for game in played]
            for run, played in complete.items()
            for of_run, name in of_part
            if of_run == run.name
        },
    )


def _whole(games: Mapping[str, Sequence[_Game]], run: ClickRun, truth: Truth) -> bool:
    return len(games.get(run.name, ())) == len(truth.masks)


def first_click(truth: Truth, index: int, clicker: str, *, seed: int) -> Click:
    """Return a clicker's first click on a mask.

    Example:
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.truth import read_truth
        >>> truth = read_truth(read_rectangles("", seed=0, limit=1)[0], min_area=1)
        >>> click = first_click(truth, 0, "center", seed=0)
        >>> bool(truth.masks[0, click.y, click.x]), click.positive
        (True, True)
    """
    return _next_click(np.zeros(truth.ignore.shape, bool), truth, index, clicker, [], seed)


def _next_click(
    predicted: Bool[np.ndarray, "h w"],
    truth: Truth,
    index: int,
    clicker: str,
    clicked: Sequence[Click],
    seed: int,
) -> Click:
    return CLICKERS[clicker](
        predicted,
        truth.masks[index],
        ignore=truth.ignore,
        clicked=clicked,
        seed=seed,
        key=truth.key,
        mask_id=truth.ids[index],
    )


def _batches(truth: Truth) -> Iterator[range]:
    """Return the places of the masks, as many at a time as memory is meant to hold."""
    step = max(1, PIXELS_AT_ONCE // truth.ignore.size)
    for start in range(0, len(truth.masks), step):
        yield range(start, min(start + step, len(truth.masks)))


def _first_maps(model: Segmenter, truth: Truth, clicks: Sequence[Click], asked: Asked) -> Maps:
    """Return the maps of the first clicks, which every run of a clicker begins with."""
    if "click_probabilities" not in model.answers:
        return {}
    return asked.ask("click", lambda: click_maps(model, truth.image, clicks)) or {}


def _play(
    answering: Answers,
    truth: Truth,
    indices: Sequence[int],
    run: ClickRun,
    config: InteractiveConfig,
    of_part: Mapping[str, Callable[..., Any]],
) -> list[_Game]:
    """Return the games of the masks at `indices`, which go through the run's rounds together."""
    games = {index: _Game() for index in indices}
    masks = {index: np.zeros(truth.ignore.shape, bool) for index in indices}
    for number in range(run.clicks):
        unfinished = [
            i for i in indices if number == 0 or not games[i].ious[-1] >= config.target_iou
        ]
        for index in unfinished:
            clicks = games[index].clicks
            clicks.append(_next_click(masks[index], truth, index, run.clicker, clicks, config.seed))
        clicks_by_mask = {index: tuple(games[index].clicks) for index in unfinished}
        for index, mask in answering.masks(clicks_by_mask):
            truth.require_size(mask.shape, "answers a click with a mask")
            _record(games[index], masks[index], mask, truth, index)
            if number == 0:
                games[index].parts.update(
                    {
                        name: measure(mask, truth.masks[index], truth.ignore)
                        for name, measure in of_part.items()
                    }
                )
            masks[index] = mask
    return list(games.values())


def _record(
    game: _Game,
    before: Bool[np.ndarray, "h w"],
    after: Bool[np.ndarray, "h w"],
    truth: Truth,
    index: int,
) -> None:
    true = truth.masks[index]
    game.ious.append(float(click_iou(after[None], true[None], truth.ignore)[0]))
    if len(game.clicks) > 1:
        changed = change(before, after, true, truth.ignore)
        game.changes.append((changed.changed, changed.outside))


def _best_levels(
    truth: Truth,
    indices: Sequence[int],
    clicks: Sequence[Click],
    maps: Maps,
    levels: Sequence[float],
) -> list[float]:
    """Return the IoU of each first map at its best level; none if the model has no maps."""
    if not maps:
        return []
    return [
        float(iou_at_levels(maps[click], truth.masks[index], truth.ignore, levels=levels).max())
        for index, click in zip(indices, clicks, strict=True)
    ]
