"""Pictures: masks, label maps, maps of probability and features in colour, sheets, curves, scatter.

Arrays are drawn with numpy and Pillow; matplotlib, imported here only and only when asked for,
draws the plots without a display. The same input gives the same picture, and a file appears whole.
"""

import io
import os
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskspace import masks as mask_algebra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Black, violet, red, orange, pale yellow: a ramp that is also ordered in grey.
RAMP = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
GOLDEN_RATIO = 0.6180339887498949
INK, PAPER = (33, 37, 41), (255, 255, 255)
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
    """

    label: str
    x: Sequence[int | float]
    y: Sequence[int | float]
    band: Sequence[tuple[float, float]] | None = None
    published: bool = False


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of the same bins for several sets: `counts[set][k]` is how many are in `bins[k]`."""

    bins: Sequence[str]
    counts: Mapping[str, Sequence[int]]


def label_colors(labels: Int[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3"]:
    """Return the RGB colour of each label: always the same for the same label.

    Hues advance by the golden ratio, so that any run of labels is spread over the circle, and three
    lightnesses take turns where the hues come close again.
    """
    hue = (0.05 + labels * GOLDEN_RATIO) % 1
    turn = labels // 5 % 3
    value = np.choose(turn, [0.98, 0.72, 0.86])
    saturation = np.choose(turn, [0.75, 0.80, 0.45])
    offsets = (hue[:, None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    ramp = np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
    rgb = value[:, None] * (1 - saturation[:, None] * ramp)
    return np.round(rgb * 255).astype(np.uint8)


def outlines(labels: Int[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Return the pixels whose right, lower or lower right neighbour has another label."""
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return (here != padded[:-1, 1:]) | (here != padded[1:, :-1]) | (here != padded[1:, 1:])


def paint_labels(
    image: UInt8[np.ndarray, "h w 3"], labels: Int[np.ndarray, "h w"], *, opacity: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with each label in its colour and white outlines; 0 stays, darkened."""
    values, index = np.unique(labels, return_inverse=True)
    palette = np.where(values[:, None] == 0, 0, label_colors(values))
    strength = np.where(labels == 0, 0.5, opacity)[..., None]
    painted = image * (1 - strength) + palette[index.reshape(labels.shape)] * strength
    painted[outlines(labels)] = PAPER
    return np.round(painted).astype(np.uint8)


def paint_masks(
    image: UInt8[np.ndarray, "h w 3"], masks: Bool[np.ndarray, "n h w"], *, opacity: float = 0.6
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with the masks in colour, smaller ones above larger ones."""
    return paint_labels(image, mask_algebra.to_label_map(masks), opacity=opacity)


def ramp_colors(values: Float[np.ndarray, "*size"]) -> UInt8[np.ndarray, "*size 3"]:
    """Return values in [0, 1] as colours of `RAMP`, dark to light; others as the nearest end."""
    stops = np.linspace(0, 1, len(RAMP))
    channels = [np.interp(values, stops, channel) for channel in np.transpose(RAMP)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def direction_colors(vectors: Float[np.ndarray, "2 h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return vectors (x, y) as colours: the hue says where to, the brightness how far.

    Right is red, down yellow-green, left cyan, up violet; the longest vector is the brightest.
    """
    length = np.hypot(vectors[0], vectors[1])
    hue = np.arctan2(vectors[1], vectors[0]) / (2 * np.pi) % 1
    offsets = (hue[..., None] * 6 + np.array([5.0, 3.0, 1.0])) % 6
    rgb = 1 - np.clip(np.minimum(offsets, 4 - offsets), 0, 1)
    shade = length / max(float(length.max()), 1e-12)
    return np.round(rgb * shade[..., None] * 255).astype(np.uint8)


def paint_errors(
    image: UInt8[np.ndarray, "h w 3"], wrong: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image in dark grey with the wrong pixels in red."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * 0.6
    return np.where(wrong[..., None], (213, 40, 40), grey).round().astype(np.uint8)


def paint_level_lines(
    image: UInt8[np.ndarray, "h w 3"],
    map_: Float[np.ndarray, "h w"],
    *,
    levels: Sequence[float],
    opacity: float = 0.6,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image in grey under the borders of what is above each level, lighter for higher.

    Levels are ascending; where the map passes several between two pixels the highest is drawn.
    """
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2) * (1 - opacity)
    painted = np.round(grey).astype(np.uint8)
    # The darkest colours of the ramp would not show on a darkened image.
    colors = ramp_colors(np.linspace(0.3, 1, len(levels)))
    for level, color in zip(levels, colors, strict=True):
        painted[outlines((map_ > level).astype(np.int64))] = color
    return painted


def paint_click(
    image: UInt8[np.ndarray, "h w 3"], click_xy: tuple[int, int], *, radius: int, positive: bool
) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image with a disk at a pixel, green or red, ringed in white and in ink."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    fill = (0, 158, 115) if positive else (213, 94, 0)
    for extra, color in ((2, INK), (1, PAPER), (0, fill)):
        pen.circle(click_xy, radius + extra, fill=color)
    return np.array(picture)


def feature_colors(features: Float[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """Return features as colours: three channels in [0, 1] as they are, one as grey.

    Any other number is projected on its first three principal components, in one common scale
    about mid-grey, so that a component that hardly varies looks as flat as it is.
    """
    channels = len(features)
    if channels in (1, 3):
        unit = np.broadcast_to(np.clip(features, 0, 1), (3, *features.shape[1:]))
    else:
        unit = _principal_colors(features.astype(np.float64))
    return np.round(unit.transpose(1, 2, 0) * 255).astype(np.uint8)


def _principal_colors(features: Float[np.ndarray, "c h w"]) -> Float[np.ndarray, "3 h w"]:
    pixels = features.reshape(len(features), -1)
    centered = pixels - pixels.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(centered @ centered.T)
    axes = vectors[:, ::-1][:, :3].T
    # Eigenvectors have no sign of their own; the largest loading is made positive.
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    projected = np.zeros((3, pixels.shape[1]))
    projected[: len(axes)] = axes @ centered
    scale = max(float(np.percentile(np.abs(projected[0]), 99)), 1e-6)
    unit = np.clip(0.5 + 0.5 * projected / scale, 0, 1)
    return unit.reshape(3, *features.shape[1:])


def fitted_size(size_hw: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the height and width that make the longer side `side`, at least one pixel each."""
    longest = max(size_hw)
    height, width = (max(1, round(length * side / longest)) for length in size_hw)
    return height, width


def fit_image(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image with its longer side `side`: pixels repeated to enlarge, else averaged."""
    height, width = fitted_size((image.shape[0], image.shape[1]), side)
    enlarge = side >= max(image.shape[:2])
    method = Image.Resampling.NEAREST if enlarge else Image.Resampling.BOX
    return np.array(Image.fromarray(image).resize((width, height), method))


def fit_labels(labels: Int[np.ndarray, "h w"], side: int) -> Int[np.ndarray, "r s"]:
    """Return the label map with its longer side `side`, each pixel with the label at its centre."""
    height, width = fitted_size((labels.shape[0], labels.shape[1]), side)
    rows = (2 * np.arange(height) + 1) * labels.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * labels.shape[1] // (2 * width)
    return labels[rows[:, None], columns]


def fit_map(map_: Float[np.ndarray, "h w"], side: int) -> Float32[np.ndarray, "r s"]:
    """Return a map with its longer side `side`, bilinear to enlarge, averaged to shrink."""
    height, width = fitted_size((map_.shape[0], map_.shape[1]), side)
    picture = Image.fromarray(map_.astype(np.float32))
    return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))


def contact_sheet(
    rows: Sequence[Sequence[UInt8[np.ndarray, "_ _ 3"]]],
    *,
    titles: Sequence[str],
    names: Sequence[str] = (),
    side: int = 192,
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a sheet of images: one row each, `titles` over the columns, `names` before the rows.

    Each image's longer side becomes `side` pixels; a row may be shorter than the titles, and a name
    may have several lines.
    """
    font = ImageFont.load_default(size=max(11, side // 13))
    gap, line = max(4, side // 32), side // 8
    cells = [[fit_image(image, side) for image in row] for row in rows]
    heights = [max((cell.shape[0] for cell in row), default=line) for row in cells]
    for row, name in enumerate(names):
        heights[row] = max(heights[row], line * (1 + name.count("\n")))
    widths = [_text_width(font, title) for title in titles]
    for row in cells:
        for column, cell in enumerate(row):
            widths[column] = max(widths[column], cell.shape[1])
    first = gap + max((_text_width(font, name) + gap for name in names), default=0)
    lefts = np.cumsum([first, *(width + gap for width in widths)]).tolist()
    tops = np.cumsum([2 * gap + line, *(height + gap for height in heights)]).tolist()
    sheet = Image.new("RGB", (lefts[-1], tops[-1]), PAPER)
    pen = ImageDraw.Draw(sheet)
    for left, width, title in zip(lefts, widths, titles, strict=False):
        pen.text((left + width // 2, gap + line // 2), title, fill=INK, font=font, anchor="mm")
    for top, height, name in zip(tops, heights, names, strict=False):
        pen.text((gap, top + height // 2), name, fill=INK, font=font, anchor="lm")
    for top, height, row in zip(tops, heights, cells, strict=False):
        for left, width, cell in zip(lefts, widths, row, strict=False):
            place = (left + (width - cell.shape[1]) // 2, top + (height - cell.shape[0]) // 2)
            sheet.paste(Image.fromarray(cell), place)
    return np.array(sheet)


def _text_width(font: "ImageFont.FreeTypeFont | ImageFont.ImageFont", text: str) -> int:
    return max(int(np.ceil(font.getlength(line))) for line in text.split("\n"))


def save_image(path: Path, image: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an RGB image as PNG; the file appears whole or not at all."""
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG", optimize=False)
    _write(path, encoded.getvalue())


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
    """Write a PNG of one panel a name: bars of each set's shares of the bins, which sum to 1."""
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
    _write(path, encoded.getvalue())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)
