"""The standings as a page: a table a dataset, pictures, and what each objective is."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from maskspace import pictures
from maskspace.evaluation.standings import Contestant, Standing
from maskspace.evaluation.truth import read_truth
from maskspace.files import write_whole
from maskspace.masks import to_label_map
from maskspace.types import Sample

COLUMNS = (
    "mean best IoU",
    "95 %, images",
    "AP",
    "TP/(TP+FP+FN)",
    "oracle",
    "proposals",
    "read at",
    "ms/step",
    "peak MB",
)
#: Proposals of a contestant that are drawn.
PAINTED = 20
#: What a training cost, the unit of the last columns, and what of several seeds is told: the least
#: time, to which other processes only add, and the most memory.
COSTS = (("milliseconds_a_step", 1.0, min), ("peak_bytes", 1e6, max))


def write_standings(
    standings: Sequence[Standing],
    out: Path,
    *,
    about: Mapping[str, str],
    heading: str,
    drawn: Mapping[str, str] | None = None,
) -> None:
    """Write `standings.json`, `standings.csv` and `objectives.md`.

    `about` is what each name stands for, in the words of its module; `heading` begins the page,
    which shows of each dataset the picture `drawn`, by its path from there.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> from dataclasses import replace
        >>> from maskspace.evaluation.instances import InstanceScore
        >>> score = InstanceScore(
        ...     mean_best_iou=0.8,
        ...     low=0.7,
        ...     high=0.9,
        ...     average_precision=0.5,
        ...     found=0.6,
        ...     proposals=10.0,
        ...     seconds=0.1,
        ... )
        >>> standings = [
        ...     Standing(dataset="d", name="student", seed=0, score=score, oracle=None, cost={}),
        ...     Standing(
        ...         dataset="d",
        ...         name="other",
        ...         seed=None,
        ...         score=replace(score, mean_best_iou=0.9),
        ...         oracle=None,
        ...         cost={},
        ...     ),
        ... ]
        >>> write_standings(
        ...     standings, folder, about={"other": "Another model."}, heading="# Models"
        ... )
        >>> sorted(path.name for path in folder.iterdir())
        ['objectives.md', 'standings.csv', 'standings.json']
    """
    write_whole(out / "standings.json", json.dumps([asdict(s) for s in standings], indent=2) + "\n")
    write_whole(out / "standings.csv", _csv(standings))
    page = _page(standings, about=about, heading=heading, drawn=drawn or {})
    write_whole(out / "objectives.md", page)


def ranked_standings(standings: Sequence[Standing]) -> dict[str, list[list[Standing]]]:
    """Return for each dataset the contestants, best first, each with all its seeds.

    By the mean over seeds of the mean best IoU; ties in order of name.

    Example:
        >>> from dataclasses import replace
        >>> from maskspace.evaluation.instances import InstanceScore
        >>> score = InstanceScore(
        ...     mean_best_iou=0.8,
        ...     low=0.7,
        ...     high=0.9,
        ...     average_precision=0.5,
        ...     found=0.6,
        ...     proposals=10.0,
        ...     seconds=0.1,
        ... )
        >>> standings = [
        ...     Standing(dataset="d", name="student", seed=0, score=score, oracle=None, cost={}),
        ...     Standing(
        ...         dataset="d",
        ...         name="other",
        ...         seed=None,
        ...         score=replace(score, mean_best_iou=0.9),
        ...         oracle=None,
        ...         cost={},
        ...     ),
        ... ]
        >>> [group[0].name for group in ranked_standings(standings)["d"]]
        ['other', 'student']
    """
    found: dict[str, list[list[Standing]]] = {}
    for dataset in dict.fromkeys(s.dataset for s in standings):
        own = sorted((s for s in standings if s.dataset == dataset), key=lambda s: s.name)
        groups = [list(group) for _, group in groupby(own, key=lambda s: s.name)]
        found[dataset] = sorted(groups, key=lambda g: -_mean(s.score.mean_best_iou for s in g))
    return found


def draw_standings(
    contestants: Sequence[tuple[Contestant, str]], samples: Sequence[Sample], path: Path
) -> None:
    """Draw in a PNG, a row a contestant, the features of each sample, if any, and what it finds.

    That is its best PAINTED proposals by the reading that is given with it; a tree's are nested,
    the smallest are on top. The first row is the images and what is true of them.

    Example:
        >>> import tempfile
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> from maskspace.evaluation.standings import untrained
        >>> path = Path(tempfile.mkdtemp()) / "found.png"
        >>> draw_standings([(one, "") for one in untrained("d", {})], samples, path)
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    truths = [read_truth(sample, min_area=1) for sample in samples]
    images = [truth.image for truth in truths]
    painted = [pictures.paint_labels(t.image, to_label_map(t.masks)) for t in truths]
    rows = [[shown for both in zip(images, painted, strict=True) for shown in both]]
    names = ["image, truth"]
    for contestant, reading in contestants:
        row = []
        for image in images:
            masks = contestant.read_as(reading)(image, limit=PAINTED).masks
            found = pictures.paint_labels(image, to_label_map(masks))
            row += [_features(contestant, image), found]
        rows.append(row)
        names.append(contestant.name)
    pictures.save_image(
        path,
        pictures.contact_sheet(
            rows, titles=["features", "found"] * len(images), names=names, side=128
        ),
    )


def _features(
    contestant: Contestant, image: UInt8[np.ndarray, "h w 3"]
) -> UInt8[np.ndarray, "r s 3"]:
    if contestant.model is None:
        return image
    try:
        levels = contestant.model.embed(image).levels
    except ValueError:  # it has none
        return image
    return pictures.feature_colors(levels[min(levels)])


def _page(
    standings: Sequence[Standing],
    *,
    about: Mapping[str, str],
    heading: str,
    drawn: Mapping[str, str],
) -> str:
    parts = [heading.rstrip() + "\n"]
    for dataset, groups in ranked_standings(standings).items():
        seeds = max(len(group) for group in groups)
        parts.append(f"\n## {dataset}\n\n{_seeds(seeds)}\n\n")
        parts.append(f"| name | {' | '.join(COLUMNS)} |\n| --- |{' --- |' * len(COLUMNS)}\n")
        parts += [_row(group) for group in groups]
        if dataset in drawn:
            parts.append(f"\n![features and what is found on {dataset}]({drawn[dataset]})\n")
    parts.append("\n## What each is\n")
    parts += [f"\n### {name}\n\n{text.strip()}\n" for name, text in sorted(about.items())]
    return "".join(parts)


def _seeds(number: int) -> str:
    return (
        "One seed."
        if number == 1
        else "Means over seeds; where there are several, each in brackets."
    )


def _row(seeds: Sequence[Standing]) -> str:
    spread = "" if len(seeds) == 1 else f" ({', '.join(_share(s) for s in seeds)})"
    oracles = [s.oracle for s in seeds if s.oracle is not None]
    cells = [
        f"{_mean(s.score.mean_best_iou for s in seeds):.3f}{spread}",
        f"{_mean(s.score.low for s in seeds):.3f} to {_mean(s.score.high for s in seeds):.3f}",
        f"{_mean(s.score.average_precision for s in seeds):.3f}",
        f"{_mean(s.score.found for s in seeds):.3f}",
        f"{_mean(oracles):.3f}" if oracles else "",
        f"{_mean(s.score.proposals for s in seeds):.1f}",
        "; ".join(dict.fromkeys(s.reading for s in seeds if s.reading)),
        *(_cost(seeds, *cost) for cost in COSTS),
    ]
    return f"| {seeds[0].name} | {' | '.join(cells)} |\n"


def _cost(
    seeds: Sequence[Standing],
    name: str,
    unit: float,
    over_seeds: Callable[[Iterable[float]], float],
) -> str:
    known = [s.cost[name] / unit for s in seeds if name in s.cost]
    return f"{over_seeds(known):.0f}" if known else ""


def _share(standing: Standing) -> str:
    return f"{standing.score.mean_best_iou:.3f}"


def _csv(standings: Sequence[Standing]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    score = list(asdict(standings[0].score))
    cost = ["milliseconds_a_step", "peak_bytes"]
    writer.writerow(["dataset", "name", "seed", *score, "oracle", "reading", *cost])
    for s in standings:
        values = [s.cost.get(name, "") for name in cost]
        seed, oracle = ("" if v is None else v for v in (s.seed, s.oracle))
        writer.writerow(
            [s.dataset, s.name, seed, *asdict(s.score).values(), oracle, s.reading, *values]
        )
    return text.getvalue()


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
