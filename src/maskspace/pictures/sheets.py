"""Arrays at the size at which they are shown, sheets of them, and files that appear whole."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from PIL import Image, ImageDraw, ImageFont

from maskspace.files import write_whole
from maskspace.pictures.painting import INK, PAPER


def fitted_size(size_hw: tuple[int, int], side: int) -> tuple[int, int]:
    """Return the height and width that make the longer side `side`, at least one pixel each.

    Example:
        >>> fitted_size((300, 600), 200)
        (100, 200)
        >>> fitted_size((1, 600), 200)
        (1, 200)
    """
    longest = max(size_hw)
    height, width = (max(1, round(length * side / longest)) for length in size_hw)
    return height, width


def fit_image(image: UInt8[np.ndarray, "h w 3"], side: int) -> UInt8[np.ndarray, "r s 3"]:
    """Return the image with its longer side `side`: pixels repeated to enlarge, else averaged.

    Example:
        >>> fit_image(np.zeros((30, 60, 3), np.uint8), 20).shape
        (10, 20, 3)
    """
    height, width = fitted_size((image.shape[0], image.shape[1]), side)
    enlarge = side >= max(image.shape[:2])
    method = Image.Resampling.NEAREST if enlarge else Image.Resampling.BOX
    return np.array(Image.fromarray(image).resize((width, height), method))


def fit_labels(labels: Int[np.ndarray, "h w"], side: int) -> Int[np.ndarray, "r s"]:
    """Return the label map with its longer side `side`, each pixel with the label at its centre.

    Example:
        >>> fit_labels(np.array([[1, 2]]), 4).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    height, width = fitted_size((labels.shape[0], labels.shape[1]), side)
    rows = (2 * np.arange(height) + 1) * labels.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * labels.shape[1] // (2 * width)
    return labels[rows[:, None], columns]


def fit_map(map_: Float[np.ndarray, "h w"], side: int) -> Float32[np.ndarray, "r s"]:
    """Return a map with its longer side `side`, bilinear to enlarge, averaged to shrink.

    Example:
        >>> fit_map(np.array([[0.0, 1.0], [0.0, 1.0]]), 4)[0].tolist()
        [0.0, 0.25, 0.75, 1.0]
    """
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

    Example:
        >>> cell = np.zeros((32, 64, 3), np.uint8)
        >>> sheet = contact_sheet([[cell, cell], [cell]], titles=["input", "truth"], side=64)
        >>> sheet.shape, sheet[0, 0].tolist()  # white paper
        ((88, 140, 3), [255, 255, 255])
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
    """Write an RGB image as PNG; the file appears whole or not at all.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "red.png"
        >>> save_image(path, np.full((2, 3, 3), (255, 0, 0), np.uint8))
        >>> with Image.open(path) as image:
        ...     image.size  # width, height
        (3, 2)
    """
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "PNG", optimize=False)
    write_whole(path, encoded.getvalue())
