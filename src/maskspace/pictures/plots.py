"""Curves, histories, parallel coordinates, scatter and histograms.

matplotlib, imported here only and only when asked for, draws without a display.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from maskspace.files import write_whole
from maskspace.pictures.painting import ramp_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: M. Okabe and K. Ito's colours, told apart by colour-blind eyes too.
LINE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v")
PUBLISHED_COLOR = "#495057"
#: Dashes of published lines, told apart without colour.
DASHES = ((0, (6, 2)), (0, (2, 2)), (0, (6, 2, 1, 2)), (0, (10, 3)))


@dataclass(frozen=True, kw_only=True)
class Line:
    """One named curve or cloud of points of a plot; a curve may lie in a band of low and high.

    What is `published` is drawn dashed and grey; if it is one point, as a level across the plot.

    Example:
        >>> Line(label="student", x=[1, 10, 100], y=[0.4, 0.6, 0.8]).published
        False
    """

    label: str
    x: Sequence[int | float]
    y: Sequence[int | float]
    band: Sequence[tuple[float, float]] | None = None
    published: bool = False


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of the same bins for several sets: `counts[set][k]` is how many are in `bins[k]`.

    Example:
        >>> Histogram(bins=["small", "large"], counts={"train": [3, 1]}).counts["train"]
        [3, 1]
    """

    bins: Sequence[str]
    counts: Mapping[str, Sequence[int]]


def plot_curves(
    path: Path,
    panels: Mapping[str, Sequence[Line]],
    *,
    x_label: str,
    y_label: str,
    logarithmic: bool = True,
    tick_names: Mapping[int, str] | None = None,
) -> None:
    """Write a PNG of one panel a name, curves over a logarithmic or linear x, y in [0, 1].

    `tick_names` stand on the x axis in place of its numbers.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plot.png"
        >>> line = Line(label="student", x=[1, 10, 100], y=[0.4, 0.6, 0.8])
        >>> plot_curves(path, {"rectangles": [line]}, x_label="proposals", y_label="best IoU")
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    below = _legend_lines(panels)
    figure, axes = _panels(panels, x_label=x_label, y_label=y_label, below=below)
    colors = _line_colors(panels)
    for axis, lines in zip(axes, panels.values(), strict=True):
        for line in (line for line in lines if not line.published):
            _draw_curve(axis, line, colors[line.label])
        for index, line in enumerate(line for line in lines if line.published):
            _draw_published(axis, line, DASHES[index % len(DASHES)])
        names: dict[float, str] = {value: f"{value:g}" for line in lines for value in line.x}
        if tick_names:
            names = {float(tick): name for tick, name in tick_names.items()}
        ticks = sorted(names)
        if logarithmic:
            axis.set_xscale("log")
        step = 1 if logarithmic else max(1, -(-len(ticks) // 10))
        axis.set_xticks(ticks[::step], [names[tick] for tick in ticks[::step]])
        axis.minorticks_off()
        if lines:
            _legend_below(axis)
    _save_figure(path, figure)


def _draw_curve(axis: "Axes", line: Line, color: str) -> None:
    axis.plot(line.x, line.y, marker="o", markersize=4, color=color, label=_legend(line.label))
    if line.band:
        low, high = zip(*line.band, strict=True)
        axis.fill_between(line.x, low, high, color=color, alpha=0.15, lw=0)


def _draw_published(axis: "Axes", line: Line, dashes: tuple[int, tuple[int, ...]]) -> None:
    if len(line.x) == 1:
        drawn = axis.axhline(line.y[0])
    else:
        (drawn,) = axis.plot(line.x, line.y, marker="D", markersize=3)
    drawn.set(linestyle=dashes, linewidth=1.3, color=PUBLISHED_COLOR, zorder=1.5)
    drawn.set_label(_legend(line.label))


def _legend_below(axis: "Axes") -> None:
    axis.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.16))


def _legend_lines(panels: Mapping[str, Sequence[Line]]) -> int:
    """Return the most lines of text that the legend of a panel has."""
    return max(
        (sum(1 + _legend(line.label).count("\n") for line in lines) for lines in panels.values()),
        default=0,
    )


def _legend(label: str) -> str:
    """Return a label in lines: a legend wider than the figure leaves the axes no room."""
    return "\n".join(textwrap.fill(part, 48) for part in _literal(label).splitlines())


def _literal(text: str) -> str:
    """Return text that is shown as it is: two dollars would make a formula of what is between."""
    return text.replace("$", r"\$")


def plot_histories(
    path: Path,
    panels: Mapping[str, Sequence[Line]],
    *,
    x_label: str,
    y_label: str,
    logarithmic: bool = False,
) -> None:
    """Write a PNG of one panel a name, curves over a linear or logarithmic x, each with its own y.

    Of a line with a band the band is drawn too.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plot.png"
        >>> line = Line(label="loss", x=[0, 50, 100], y=[2.0, 1.1, 0.7])
        >>> plot_histories(path, {"training": [line]}, x_label="step", y_label="value")
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    figure, axes = _panels(panels, x_label=x_label, y_label=y_label)
    for axis, lines in zip(axes, panels.values(), strict=True):
        for index, line in enumerate(lines):
            color = LINE_COLORS[index % len(LINE_COLORS)]
            axis.plot(line.x, line.y, marker="o", markersize=3, color=color, label=line.label)
            if line.band:
                low, high = zip(*line.band, strict=True)
                axis.fill_between(line.x, low, high, color=color, alpha=0.15)
        if logarithmic:
            axis.set_xscale("log")
            ticks = sorted({x for line in lines for x in line.x})
            ticks = ticks[:: max(1, -(-len(ticks) // 6))]
            axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
            axis.minorticks_off()
        axis.set_ylim(auto=True)
        axis.relim()
        axis.autoscale_view()
        axis.legend(framealpha=0.9, edgecolor="none", fontsize=8)
    _save_figure(path, figure)


def plot_parallel(
    path: Path,
    axes: Mapping[str, Sequence[object]],
    *,
    values: Sequence[float],
    label: str,
) -> None:
    """Write a PNG of parallel coordinates: an upright axis a name, a line a row across them.

    An axis of numbers runs from its least to its largest, another through its texts in order; a
    line passes by one where it has no value (None, NaN). Dark lines have a small value, light ones
    a large.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plot.png"
        >>> axes = {"objective": ["pull", "push"], "bandwidth": [0.1, None]}
        >>> plot_parallel(path, axes, values=[0.5, 0.8], label="loss ratio")
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    figure, (axis,) = _panels({label: None}, x_label="", y_label="")
    figure.set_size_inches(1.6 * len(axes) + 2, 4.2)
    scale = Normalize(min(values), max(values))
    colors = ListedColormap(ramp_colors(np.linspace(0.15, 0.85, 64)) / 255)
    columns = [_axis_places(list(column)) for column in axes.values()]
    for row, value in enumerate(values):
        known = [
            (i, places[row]) for i, (places, _) in enumerate(columns) if places[row] == places[row]
        ]
        axis.plot(*zip(*known, strict=True), color=colors(scale(value)), linewidth=1.3)
    for index, (_, ticks) in enumerate(columns):
        axis.axvline(index, color="#ADB5BD", linewidth=1, zorder=0)
        for place, text in ticks.items():
            axis.annotate(_literal(text), (index, place), fontsize=7, ha="left", va="center")
    axis.set_xticks(range(len(columns)), list(axes), fontsize=8)
    axis.set_yticks([])
    figure.colorbar(ScalarMappable(scale, colors), ax=axis)
    _save_figure(path, figure)


def _axis_places(column: Sequence[object]) -> tuple[list[float], dict[float, str]]:
    """Return where on an axis from 0 to 1 each value lies, and the texts beside the axis."""
    known = [value for value in column if value is not None and value == value]
    if all(isinstance(value, int | float) for value in known):
        numbers = [float(str(value)) for value in known]
        low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
        span = high - low or 1.0
        places = [
            float("nan") if value is None or value != value else (float(str(value)) - low) / span
            for value in column
        ]
        return places, {(number - low) / span: f"{number:.3g}" for number in (low, high)}
    texts = sorted({str(value) for value in known})
    last = max(len(texts) - 1, 1)
    order = {text: index / last for index, text in enumerate(texts)}
    places = [order.get(str(value), float("nan")) for value in column]
    return places, {place: text for text, place in order.items()}


def plot_scatter(
    path: Path, panels: Mapping[str, Sequence[Line]], *, x_label: str, y_label: str
) -> None:
    """Write a PNG of one panel a name, each with clouds of points in the unit square.

    Labels stand below the panel; what follows a label's first line may differ between panels.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plot.png"
        >>> line = Line(label="student", x=[0.2, 0.9], y=[0.3, 0.8])
        >>> plot_scatter(path, {"rectangles": [line]}, x_label="one click", y_label="proposals")
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    below = _legend_lines(panels)
    figure, axes = _panels(panels, x_label=x_label, y_label=y_label, below=below)
    colors = _line_colors(panels)
    for axis, lines in zip(axes, panels.values(), strict=True):
        axis.plot([0, 1], [0, 1], color="#ADB5BD", linewidth=1, linestyle="--", zorder=0)
        for index, line in enumerate(lines):
            axis.scatter(
                line.x,
                line.y,
                s=22,
                color=colors[line.label],
                marker=MARKS[index % len(MARKS)],
                alpha=0.7,
                linewidths=0,
                label=_legend(line.label),
            )
        axis.set_xlim(-0.02, 1.02)
        axis.set_aspect("equal")
        if lines:
            _legend_below(axis)
    _save_figure(path, figure)


def plot_histograms(path: Path, panels: Mapping[str, Histogram], *, y_label: str) -> None:
    """Write a PNG of one panel a name: bars of each set's shares of the bins, which sum to 1.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "plot.png"
        >>> areas = Histogram(bins=["small", "large"], counts={"train": [3, 1], "val": [1, 1]})
        >>> plot_histograms(path, {"areas of masks": areas}, y_label="share")
        >>> path.read_bytes()[1:4]
        b'PNG'
    """
    figure, axes = _panels(panels, x_label="", y_label=y_label)
    for axis, histogram in zip(axes, panels.values(), strict=True):
        width, places = 0.8 / max(len(histogram.counts), 1), np.arange(len(histogram.bins))
        for index, (label, counts) in enumerate(histogram.counts.items()):
            share = np.array(counts) / max(sum(counts), 1)
            left = places + (index - (len(histogram.counts) - 1) / 2) * width
            color = LINE_COLORS[index % len(LINE_COLORS)]
            axis.bar(left, share, width, color=color, label=label)
        axis.set_xticks(places, list(histogram.bins), rotation=60, ha="right", fontsize=8)
        axis.set_xlim(-0.6, max(len(histogram.bins), 6) - 0.4)
        axis.set_ylim(auto=True)
        axis.autoscale_view(scalex=False)
        if histogram.counts:
            axis.legend(framealpha=0.9, edgecolor="none", fontsize=9)
    _save_figure(path, figure)


def _panels(
    panels: Mapping[str, object], *, x_label: str, y_label: str, below: int = 0
) -> "tuple[Figure, list[Axes]]":
    """Return a figure and one titled axis a panel, at most three side by side.

    There is room for `below` lines of legend under each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, max(1, len(panels)))
    rows = -(-max(1, len(panels)) // columns)
    height = max(4.2, 3.6 + 0.19 * below)
    figure = Figure(figsize=(4.6 * columns, height * rows), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(len(panels))]
    for axis, name in zip(axes, panels, strict=True):
        axis.set_title(_literal(name), fontsize=11)
        axis.set_xlabel(x_label)
        axis.set_ylabel(y_label)
        axis.set_ylim(-0.02, 1.02)
        axis.grid(color="#E9ECEF", linewidth=0.8)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _line_colors(panels: Mapping[str, Sequence[Line]]) -> dict[str, str]:
    """Return a colour for each label, the same in every panel for labels of one first line."""
    labels = [line.label for lines in panels.values() for line in lines if not line.published]
    names = list(dict.fromkeys(label.partition("\n")[0] for label in labels))
    places = {label: names.index(label.partition("\n")[0]) for label in labels}
    return {label: LINE_COLORS[place % len(LINE_COLORS)] for label, place in places.items()}


def _save_figure(path: Path, figure: "Figure") -> None:
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png", metadata={"Software": None})
    write_whole(path, encoded.getvalue())
