"""Draw what was measured: a page, plots, sheets of pictures and a table, from files of numbers."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from maskspace.evaluation import plots
from maskspace.evaluation.click_table import click_table
from maskspace.evaluation.config import EvaluateConfig
from maskspace.evaluation.findings import FINDINGS, Heading, Metrics, read_findings
from maskspace.evaluation.html_report import PageContent, write_html
from maskspace.evaluation.reference import place_published
from maskspace.evaluation.region_report import plot_regions
from maskspace.evaluation.sheets import draw_cases, draw_gallery
from maskspace.evaluation.tables import metrics_table
from maskspace.files import write_whole
from maskspace.shown import SHOWN, read_shown

#: What `draw_report` writes.
DRAWN = (
    "table.txt",
    "report.html",
    "curve.png",
    "clicks.png",
    "regions.png",
    "scatter.png",
    "gallery.png",
    "cases.png",
)


def report(metrics: Mapping[str, Mapping[str, Metrics]], headings: Sequence[Heading]) -> str:
    """Return the main numbers in plain text; those of the clicks stand below the others.

    Example:
        >>> metrics = {"d": {"student": {
        ...     "images": 2, "masks": 5, "mean_best_iou_10": 0.8, "miou_at_1_center": 0.7,
        ...     "ranking": "score", "protocol": "maskspace", "not_answered": {}, "lacking": {},
        ...     "left_out": {}}}}
        >>> headings = [Heading(
        ...     name="mean_best_iou_10", title="best@10", curve="mean_best_iou", at=10)]
        >>> print(report(metrics, headings))
        dataset  model    images  masks  best@10
        d        student       2      5    0.800
        student: proposals ranked by score
        <BLANKLINE>
        dataset  model    clicks  mIoU@1
        d        student  center   0.700
        protocol maskspace
    """
    tables = (metrics_table(metrics, headings), click_table(metrics))
    return "\n".join(table for table in tables if table)


def draw_report(measured: Path, out: Path, *, config: EvaluateConfig) -> str:
    """Write `DRAWN` in the folder `out`; return the table.

    Args:
        measured: the folder that `measure_models` wrote.
        out: folder of the pictures, the page and the table.
        config: how models were measured.

    Example:
        >>> import tempfile
        >>> from maskspace.data.readers.rectangles import read_rectangles
        >>> from maskspace.evaluation.config import SelectConfig
        >>> from maskspace.evaluation.measuring import measure_models
        >>> from maskspace.loaded import Segmenter
        >>> from maskspace.types import Prediction
        >>> class Whole(Segmenter):  # proposes the whole image
        ...     name, ranking, answers = "whole", "nothing", frozenset({"propose"})
        ...     def propose(self, image, limit=100):
        ...         return Prediction(np.ones((1, *image.shape[:2]), bool), np.ones(1, np.float32))
        >>> folder = Path(tempfile.mkdtemp())
        >>> samples = list(read_rectangles("", seed=0, limit=1))
        >>> config = SelectConfig(limit=1, min_area=1, proposals=1, decoder_factors=()).measured()
        >>> _ = measure_models({"d": samples}, {"whole": Whole()}, folder, config=config)
        >>> print(draw_report(folder, folder / "report", config=config))
        dataset  model  images  masks     PQ
        d        whole       1      9  0.000
        whole: proposals ranked by nothing
        d: no instances: ...
        whole: no answer to embed: ...
    """
    metrics = json.loads((measured / "metrics.json").read_text())
    findings = read_findings(measured / FINDINGS)
    placed = {
        dataset: place_published(findings.origins.get(dataset), images, findings.sides, config)
        for dataset, images in findings.images.items()
    }
    headline = config.interactive.headline
    run, count = headline.name if headline else "", config.headline_count
    headings = findings.headings
    table = report(metrics, headings)
    write_whole(out / "table.txt", table)
    plots.plot_iou_curves(out / "curve.png", metrics, headings)
    plots.plot_click_scatter(out / "scatter.png", findings.pairs, metrics, count=count, run=run)
    plots.plot_click_curves(out / "clicks.png", metrics, placed)
    plot_regions(out / "regions.png", metrics, placed, headings)
    _draw_sheets(measured / SHOWN, out)
    content = PageContent(
        headings=headings,
        metrics=metrics,
        compared=findings.compared,
        placed=placed,
        versions=findings.versions,
        config=config,
    )
    write_html(out / "report.html", content)
    return table


def _draw_sheets(shown: Path, out: Path) -> None:
    arrays, about = read_shown(shown)
    columns = {
        (column["title"], column["kind"]): [
            arrays[f"column {index} image {row}"] for row in range(len(about["images"]))
        ]
        for index, column in enumerate(about["columns"])
    }
    draw_gallery(out / "gallery.png", columns, about["images"])
    cases = about["cases"]
    draw_cases(
        out / "cases.png",
        [_of_case(arrays, index) for index in range(len(cases))],
        [case["click"] for case in cases],
        [case["name"] for case in cases],
    )


def _of_case(arrays: Mapping[str, np.ndarray], index: int) -> dict[str, np.ndarray]:
    start = f"case {index} "
    return {name.removeprefix(start): x for name, x in arrays.items() if name.startswith(start)}
