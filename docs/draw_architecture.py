"""Draw docs/pictures/architecture.svg: the way of the data, and the rooms with who may import whom.

The rooms are read from the import contract in pyproject.toml, so that the picture follows it. Run
`python -m docs.draw_architecture` after a change there; a test tells when that was forgotten.
"""

import tomllib
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.svg"
CONTRACT = "the house reads in the order the data moves"

WIDTH, MARGIN, LINE = 1080, 20, 34
#: Boxes of the way: column, row, title, what it is; records have rounded corners.
STEPS = (
    (0, 0, "files", "data/readers", False),
    (1, 0, "Sample", "image, run lengths, categories", True),
    (2, 0, "shards", "data/shards, a manifest", False),
    (3, 0, "crops", "data/stream, data/crops", False),
    (4, 0, "Targets", "layers, classes, annotators", True),
    (4, 1, "terms", "objectives, mask_losses", False),
    (3, 1, "outputs", "by head: Level, DenseMap, Queries", True),
    (2, 1, "network", "models", False),
    (3, 2, "decoder", "partition", False),
    (4, 2, "Prediction", "masks or labels, scores, classes", True),
    (4, 3, "measures", "metrics, evaluation", False),
    (2, 2, "Segmenter", "a loaded model: what it answers", True),
    (2, 3, "peers", "other people's methods", False),
    (1, 2, "commands", "cli, serving, workflows", False),
)
#: Arrows of the way, by the titles of their ends.
ARROWS = (
    ("files", "Sample"),
    ("Sample", "shards"),
    ("shards", "crops"),
    ("crops", "Targets"),
    ("Targets", "terms"),
    ("outputs", "terms"),
    ("network", "outputs"),
    ("crops", "network"),
    ("outputs", "decoder"),
    ("decoder", "Prediction"),
    ("Prediction", "measures"),
    ("network", "Segmenter"),
    ("peers", "Segmenter"),
    ("Segmenter", "decoder"),
    ("commands", "Segmenter"),
)
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 184, 56, 214, 92
TOP = 60


def rooms() -> list[list[str]]:
    """Return the rows of rooms, the highest first, as the import contract has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = contracts["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in found if one["name"] == CONTRACT)
    return [[name.strip().removeprefix("maskspace.") for name in row.split("|")] for row in layers]


def draw() -> str:
    """Return the picture as SVG."""
    way = TOP + 3 * ROW + BOX_HEIGHT + 50
    rows = rooms()
    height = way + 40 + LINE * len(rows) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="#555"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        _text(MARGIN, 30, "The way of the data (rounded: records that cross rooms)", weight="bold"),
        *(_arrow(*ends) for ends in ARROWS),
        *(_box(*step) for step in STEPS),
        _text(MARGIN, way, "The rooms: each imports only from rows below it", weight="bold"),
        *(_row(index, names, way + 14 + LINE * index) for index, names in enumerate(rows)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _place(column: int, row: int) -> tuple[int, int]:
    return MARGIN + column * COLUMN, TOP + row * ROW


def _box(column: int, row: int, title: str, about: str, is_record: bool) -> str:
    x, y = _place(column, row)
    fill, corner = ("#e8f0fe", 16) if is_record else ("#f3f3f3", 2)
    return (
        f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{corner}" '
        f'fill="{fill}" stroke="#555"/>'
        + _text(x + BOX_WIDTH / 2, y + 24, title, weight="bold", anchor="middle")
        + _text(x + BOX_WIDTH / 2, y + 43, about, size=10, anchor="middle")
    )


def _arrow(start: str, end: str) -> str:
    places = {title: (column, row) for column, row, title, _, _ in STEPS}
    (c0, r0), (c1, r1) = places[start], places[end]
    (x0, y0), (x1, y1) = _place(c0, r0), _place(c1, r1)
    if r0 == r1:  # from side to side
        right = c1 > c0
        x0, x1 = x0 + BOX_WIDTH * right, x1 + BOX_WIDTH * (not right)
        y0 = y1 = y0 + BOX_HEIGHT // 2
    else:
        x0, x1 = x0 + BOX_WIDTH // 2, x1 + BOX_WIDTH // 2
        y0, y1 = (y0 + BOX_HEIGHT, y1) if r1 > r0 else (y0, y1 + BOX_HEIGHT)
    return f'<line x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}" stroke="#555" marker-end="url(#head)"/>'


def _row(index: int, names: list[str], y: int) -> str:
    width = WIDTH - 2 * MARGIN
    fill = "#f7f7f7" if index % 2 else "#ececec"
    return (
        f'<rect x="{MARGIN}" y="{y}" width="{width}" height="{LINE - 6}" fill="{fill}"/>'
        + _text(WIDTH / 2, y + 19, "   |   ".join(names), anchor="middle")
    )


def _text(
    x: float, y: float, text: str, *, size: int = 13, weight: str = "normal", anchor: str = "start"
) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" xml:space="preserve">{escape(text)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
