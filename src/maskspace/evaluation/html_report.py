"""The evaluation as one page that needs no network: tables, pictures, how to read them.

The same results give the same bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from maskspace.evaluation.click_table import click_cells
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import Comparison, Heading, Metrics
from maskspace.evaluation.metric_names import MIOU, bounds
from maskspace.evaluation.page import definitions, figure, html_page, html_table
from maskspace.evaluation.reference import Placed
from maskspace.evaluation.tables import correlations, lacking, number, shown_headings
from maskspace.files import write_whole

#: Pictures by file: title, and what is to be seen.
PICTURES = {
    "curve.png": (
        "Best IoU against the number of proposals",
        "Mean best IoU of the first N proposals, one panel a dataset; bands are 95 % intervals.",
    ),
    "clicks.png": (
        "IoU against the number of clicks",
        "Mean IoU after each click, one panel a dataset; dashed grey lines, if any, were "
        "published.",
    ),
    "regions.png": (
        "Covering of regions",
        "Covering by one scale for all images, one an image and one a region; dashed grey lines, "
        "if any, were published.",
    ),
    "scatter.png": (
        "Zero-shot against one click",
        "One point an image: IoU after one click, and mean best IoU of the proposals.",
    ),
    "gallery.png": (
        "Gallery",
        "Image, truth, what each model makes of it, and its features in colour.",
    ),
    "cases.png": (
        "Worst, median and best cases",
        "One mask a row after one click: click, truth, prediction, certainty and level lines.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """What a page shows, by dataset.

    headings: how the numbers are shown.
    metrics: dataset -> model -> metrics.
    compared: dataset -> comparisons of pairs of models.
    placed: dataset -> published methods.
    versions: pairs of a name and its version.
    config: how models were measured.

    Example:
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> content = PageContent(
        ...     headings=[Heading(name="mean_best_iou_10", title="best@10")], metrics=metrics,
        ...     compared={}, placed={}, versions=[("maskspace", "1.0")], config=config)
        >>> list(content.metrics)
        ['d']
    """

    headings: Sequence[Heading]
    metrics: Mapping[str, Mapping[str, Metrics]]
    compared: Mapping[str, Sequence[Comparison]]
    placed: Mapping[str, Sequence[Placed]]
    versions: Sequence[tuple[str, str]]
    config: EvaluateConfig


def write_html(path: Path, content: PageContent) -> None:
    """Write the page; the pictures named in `PICTURES` must lie beside it.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> from maskspace.evaluation.config import protocol_config
        >>> config = protocol_config("maskspace")
        >>> for name in PICTURES:
        ...     _ = (folder / name).write_bytes(b"a PNG")
        >>> metrics["d"]["student"].update(images_without_truth=0, masks_too_small=0)
        >>> content = PageContent(
        ...     headings=[Heading(name="mean_best_iou_10", title="best@10")], metrics=metrics,
        ...     compared={}, placed={}, versions=[("maskspace", "1.0")], config=config)
        >>> write_html(folder / "report.html", content)
        >>> "Evaluation of student on d" in (folder / "report.html").read_text()
        True
    """
    metrics = content.metrics
    models = dict.fromkeys(model for of_dataset in metrics.values() for model in of_dataset)
    sections = {
        "Protocol": _protocol(content),
        "Results": "".join(
            _main_table(name, of_dataset, content) for name, of_dataset in metrics.items()
        )
        + _not_answered(metrics),
        "Pairs of models": _pairs(content),
        "Proposals": _figure(path, "curve.png") + _figure(path, "scatter.png", _together(metrics)),
        "Clicks": _click_section(path, metrics),
        "Regions": _region_section(path, content),
        "Published values": _published(content),
        "Pictures": _figure(path, "gallery.png") + _figure(path, "cases.png"),
        "How to read": _explained(content),
        "Versions": definitions(content.versions),
    }
    title = f"Evaluation of {_listed(models)} on {_listed(metrics)}"
    write_whole(path, html_page(title, {name: text for name, text in sections.items() if text}))


def _protocol(content: PageContent) -> str:
    metrics, config = content.metrics, content.config
    rankings = {
        model: str(values["ranking"])
        for found in metrics.values()
        for model, values in found.items()
        if "ranking" in values
    }
    scales = ", ".join(map(str, config.region_counts))
    return definitions(
        [
            ("Protocol", config.described),
            (
                "Pixels",
                "IoU is taken in the original resolution of each image, ignored pixels left out; "
                "all masks weigh the same.",
            ),
            (
                "Intervals",
                "95 %, by drawing images with replacement; an image brings all its masks.",
            ),
            *(
                [("Regions", f"trees are cut into {scales} regions; others at scales of their own")]
                if scales
                else []
            ),
            *((f"Proposals of {model}", f"ranked by {rule}") for model, rule in rankings.items()),
        ]
    )


def _main_table(dataset: str, models: Mapping[str, Metrics], content: PageContent) -> str:
    columns = shown_headings([models], content.headings)
    counts = next(iter(models.values()))
    without, small = counts["images_without_truth"], counts["masks_too_small"]
    caption = (
        f"{counts['images']} images with {counts['masks']} masks"
        + (f"; images without one: {without}" if without else "")
        + (f"; left out, of fewer than {content.config.min_area} pixels: {small}" if small else "")
    )
    rows = [
        [escape(model), *(_cell(values, column.name) for column in columns)]
        for model, values in models.items()
    ]
    heads = ["model", *(escape(column.title) for column in columns)]
    return f"<h3>{escape(dataset)}</h3>{html_table(heads, rows, caption=caption)}"


def _cell(values: Metrics, metric: str) -> str:
    interval = bounds(values, metric)
    between = "" if interval is None else f"<small>{interval[0]:.3f} to {interval[1]:.3f}</small>"
    return escape(number(values.get(metric))) + between


def _explained(content: PageContent) -> str:
    shown = shown_headings(content.metrics.values(), content.headings)
    return definitions((heading.title, heading.explained) for heading in shown)


def _not_answered(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    rows = [
        [escape(dataset), escape(model), escape(question), escape(str(reason))]
        for dataset, models in metrics.items()
        for model, values in models.items()
        for question, reason in _mapping(values["not_answered"]).items()
    ]
    rows += [
        [escape(dataset), "every model", escape(measure), escape(reason)]
        for dataset, measure, reason in lacking(metrics)
    ]
    if not rows:
        return ""
    table = html_table(["dataset", "model", "question", "reason"], rows, text=4)
    return f"<details><summary>What was not answered, and why</summary>{table}</details>"


def _pairs(content: PageContent) -> str:
    titles = {pair.name: pair.title for pair in content.headings if pair.title}
    rows = [
        [
            escape(dataset),
            escape(titles[pair.measure]),
            escape(pair.model),
            escape(pair.other),
            _difference(pair),
            f"{pair.low:+.3f} to {pair.high:+.3f}",
            f"{pair.p_value:.3f}",
        ]
        for dataset, of_dataset in content.compared.items()
        for pair in of_dataset
        if pair.measure in titles
    ]
    if not rows:
        return ""
    caption = (
        "First less second on the same images, its 95 % interval and two-sided p; bold where the "
        "interval is clear of 0. Every measure is in comparisons.csv."
    )
    heads = ["dataset", "measure", "first", "second", "difference", "interval", "p"]
    return html_table(heads, rows, caption=caption, text=4)


def _difference(pair: Comparison) -> str:
    is_clear_of_0 = pair.low > 0 or pair.high < 0
    return (
        f"<strong>{pair.difference:+.3f}</strong>" if is_clear_of_0 else f"{pair.difference:+.3f}"
    )


def _together(metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    lines = [
        f"{dataset}, {model}: {correlations(values)}"
        for dataset, models in metrics.items()
        for model, values in models.items()
        if any(name.startswith("zero_shot_click_") for name in values)
    ]
    return "; ".join(lines)


def _click_section(path: Path, metrics: Mapping[str, Mapping[str, Metrics]]) -> str:
    heads, *rows = click_cells(metrics)
    if not rows:
        return ""
    caption = (
        "A run is where clicks fall, the threshold if not 0.5 and how further clicks are answered "
        "if not by the surest claims. mIoU@k: after k clicks; NoC: clicks to an IoU in percent; "
        "NoF: masks that took all clicks; outside: share of further changes that was right before."
    )
    cells = [[escape(cell) for cell in row] for row in rows]
    return html_table(list(map(escape, heads)), cells, caption=caption, text=3) + _figure(
        path, "clicks.png"
    )


def _region_section(path: Path, content: PageContent) -> str:
    columns = [one for one in content.headings if one.question == "regions"]
    rows = [
        [escape(dataset), escape(model), *(number(values.get(one.name)) for one in columns)]
        for dataset, models in content.metrics.items()
        for model, values in models.items()
        if any(one.name in values for one in columns)
    ]
    if not rows:
        return ""
    caption = (
        "Against every annotator. Covering, Rand index and F of boundaries: more is better; "
        "variation of information (VI, nats): less is."
    )
    heads = ["dataset", "model", *(escape(one.title) for one in columns)]
    return html_table(heads, rows, caption=caption, text=2) + _figure(path, "regions.png")


def _published(content: PageContent) -> str:
    titles = {one.name: one.title for one in content.headings if one.title}
    rows = [
        [
            escape(dataset),
            escape(one.published.method),
            escape(one.published.clicking.described if one.published.clicking else "regions"),
            escape(_values(one.values or one.published.values, titles)),
            escape("; ".join(one.reasons) or f"yes{f', with {one.run}' if one.run else ''}"),
            escape(one.published.source),
        ]
        for dataset, found in content.placed.items()
        for one in found
    ]
    if not rows:
        return ""
    caption = (
        "A value is comparable, and drawn as a dashed line, only where split, images, clicks, "
        "threshold and resolution are those of this run."
    )
    heads = ["dataset", "method", "measured by", "values", "comparable here", "source"]
    return html_table(heads, rows, caption=caption, text=6)


def _values(values: Mapping[str, float], titles: Mapping[str, str]) -> str:
    """Return values by the titles of their columns; published mIoU@k is of a run without a name."""
    return ", ".join(
        f"{titles.get(name, name.replace(MIOU, '@'))} {value:.4f}" for name, value in values.items()
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _listed(names: Iterable[str]) -> str:
    """Return names in a row; of many, how many more there are."""
    first, rest = list(names)[:4], list(names)[4:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")


def _figure(path: Path, name: str, told: str = "") -> str:
    """Return the picture of this name that lies beside the page."""
    title, seen = PICTURES[name]
    return figure(path.parent / name, title, seen, told=told)
