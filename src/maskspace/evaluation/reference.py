"""Which published values a run may be held against, and why it may not against the others.

All that moves a value has to be the same: the split and all its images, masks of every size, the
clicker, the threshold, the number of clicks, and the side that images are brought to.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from maskspace import pictures
from maskspace.evaluation.config import ClickRun, EvaluateConfig
from maskspace.evaluation.findings import Origin
from maskspace.evaluation.published import MIOU, PUBLISHED, Clicking, Published, Split


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A published method beside a run: its comparable values, or the reasons why there are none.

    `run` is the name of the run that was clicked alike; for regions it is empty.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> origin = Origin(kind="davis_interactive", split="test")
        >>> config = protocol_config("segnext")
        >>> placed = place_published(origin, 345, [1024], config)
        >>> placed[0].label, placed[0].reasons
        ('SegNext SAx2 HQ, published (center clicks, p > 0.49, 1024 px)', ())
        >>> placed[0].click_line().x
        [1, 2, 3, 5, 10]
    """

    published: Published
    values: Mapping[str, float]
    run: str
    reasons: tuple[str, ...]

    @property
    def label(self) -> str:
        """Return the name of its line: the method, that it is published, how it was clicked."""
        clicking = self.published.clicking
        how = f" ({clicking.described})" if clicking else ""
        return f"{self.published.method}, published{how}"

    def click_line(self) -> pictures.Line:
        """Return mIoU by number of clicks."""
        clicks = sorted(int(name.removeprefix(MIOU)) for name in self.values)
        y = [self.values[f"{MIOU}{k}"] for k in clicks]
        return pictures.Line(label=self.label, x=clicks, y=y, published=True)


def place_published(
    origin: Origin | None, images: int, sides: Iterable[int], config: EvaluateConfig
) -> list[Placed]:
    """Return what is published on a dataset's kind, beside a run on so many of its images.

    `sides` are those of the squares that models bring images to. Nothing for a dataset whose origin
    is not known.

    Example:
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("segnext")
        >>> origin = Origin(kind="davis_interactive", split="test")
        >>> place_published(origin, 345, [1024], config)[0].values["miou_at_1"]
        0.85967785
        >>> place_published(origin, 10, [1024], config)[0].reasons
        ('345 images, here 10',)
    """
    if origin is None:
        return []
    return [
        _place(one, origin, images, set(sides), config)
        for one in PUBLISHED
        if (one.split.kind == origin.kind if one.split else config.interactive.runs)
    ]


def _place(
    one: Published, origin: Origin, images: int, sides: Set[int], config: EvaluateConfig
) -> Placed:
    run = _run(one.clicking, config.interactive.runs) if one.clicking else None
    reasons = (
        *_split_reasons(one.split, origin, images),
        *(["from memory of the paper"] if one.remembered else []),
        *(
            _click_reasons(one.clicking, run, sides, config)
            if one.clicking
            else _region_reasons(config)
        ),
    )
    return Placed(
        published=one,
        values={} if reasons else _values(one, run, config),
        run=run.name if run else "",
        reasons=reasons,
    )


def _run(clicking: Clicking, runs: Iterable[ClickRun]) -> ClickRun | None:
    """Return the run that was clicked alike, one answered in rounds before any other."""
    clicked_by = (clicking.clicker, clicking.threshold)
    alike = [run for run in runs if (run.clicker, run.threshold) == clicked_by]
    return min(alike, key=lambda run: run.mode != "iterative", default=None)


def _values(one: Published, run: ClickRun | None, config: EvaluateConfig) -> dict[str, float]:
    """Return the values of as many clicks as were made alike: the first is, in every mode."""
    if run is None:
        return dict(one.values)
    rounds = run.mode == "iterative" and config.interactive.target_iou >= 1
    most_clicks = run.clicks if rounds else 1
    return {
        name: v for name, v in one.values.items() if int(name.removeprefix(MIOU)) <= most_clicks
    }


def _split_reasons(split: Split | None, origin: Origin, images: int) -> Iterator[str]:
    if split is None:
        yield "it is not known which dataset it is of"
        return
    if split.name != origin.split:
        yield f"split {split.name}, here {origin.split or 'none of its own'}"
    if split.images != images:
        yield f"{split.images} images, here {images}"


def _click_reasons(
    clicking: Clicking, run: ClickRun | None, sides: Set[int], config: EvaluateConfig
) -> Iterator[str]:
    if config.min_area > 1:
        yield f"masks of every size, here of {config.min_area} pixels or more"
    if run is None:
        made = {f"{r.clicker} p > {r.threshold:g}": None for r in config.interactive.runs}
        here = ", ".join(made) or "none"
        yield f"{clicking.clicker} clicks, p > {clicking.threshold:g}, here {here}"
    if clicking.side not in sides:
        here = ", ".join(f"{side} px" for side in sorted(sides)) or "no model brought to a square"
        yield f"images of {clicking.side} px, here {here}"


def _region_reasons(config: EvaluateConfig) -> Iterator[str]:
    if not config.region_counts:
        yield "regions are not measured here"
