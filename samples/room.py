"""A furnished room of axis-aligned boxes, seen by ray casting: colour and the box of each pixel."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

#: Width, depth and height of the room in metres.
ROOM = (6.0, 5.0, 2.8)
LIGHT = np.array([0.35, 0.5, 0.79])


@dataclass(frozen=True, eq=False)
class Box:
    """An axis-aligned box: its corners in metres, colour and pattern; `entity` -1 is no object."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    colour: tuple[float, float, float]
    pattern: str
    entity: int


def furnish(rng: np.random.Generator) -> list[Box]:
    """Return the boxes of a room: shell, tables, chairs, a sofa, shelves with books, pictures."""
    width, depth, height = ROOM
    thick = 0.1
    boxes = [
        ((0, 0, -thick), (width, depth, 0), (150, 105, 70), "planks"),
        ((0, 0, height), (width, depth, height + thick), (225, 222, 215), "plain"),
        ((-thick, 0, 0), (0, depth, height), (200, 190, 170), "plain"),
        ((width, 0, 0), (width + thick, depth, height), (170, 185, 195), "stripes"),
        ((0, -thick, 0), (width, 0, height), (190, 120, 100), "bricks"),
        ((0, depth, 0), (width, depth + thick, height), (205, 205, 180), "plain"),
        ((1.8, 1.4, 0), (4.4, 3.6, 0.02), (110, 60, 80), "checks"),
    ]
    boxes += _table(rng, (2.3, 1.9), (1.5, 0.9), 0.72)
    boxes += _table(rng, (0.15, 0.2), (0.9, 0.6), 0.55)
    for x, y in ((1.95, 2.15), (3.9, 2.1), (2.8, 2.95)):
        boxes += _chair(rng, (x, y))
    boxes += _sofa(rng, (3.6, 4.05))
    boxes += _shelves(rng, (5.6, 0.6))
    boxes += _pictures(rng)
    window = Box((1.0, depth - 0.02, 1.0), (2.6, depth, 2.2), (150, 195, 235), "sky", -1)
    numbered = enumerate(boxes, start=1)
    return [Box(low, high, colour, kind, n) for n, (low, high, colour, kind) in numbered] + [window]


_Raw = tuple[
    tuple[float, float, float], tuple[float, float, float], tuple[float, float, float], str
]


def _raw(
    corner: tuple[float, float, float],
    size: tuple[float, float, float],
    colour: tuple[float, float, float],
    pattern: str = "plain",
) -> _Raw:
    x, y, z = (c + s for c, s in zip(corner, size, strict=True))
    return corner, (x, y, z), colour, pattern


def _shade(rng: np.random.Generator) -> tuple[float, float, float]:
    red, green, blue = rng.uniform(50, 215, 3)
    return float(red), float(green), float(blue)


def _legs(
    at: tuple[float, float],
    size: tuple[float, float],
    height: float,
    colour: tuple[float, float, float],
) -> list[_Raw]:
    side = 0.07
    corners = [(dx, dy) for dx in (0.0, size[0] - side) for dy in (0.0, size[1] - side)]
    return [_raw((at[0] + x, at[1] + y, 0), (side, side, height), colour) for x, y in corners]


def _table(
    rng: np.random.Generator, at: tuple[float, float], size: tuple[float, float], height: float
) -> list[_Raw]:
    wood = _shade(rng)
    top = _raw((at[0], at[1], height), (size[0], size[1], 0.05), wood, "planks")
    things = [
        _raw((at[0] + x, at[1] + y, height + 0.05), (0.2, 0.16, z), _shade(rng), "stripes")
        for x, y, z in ((0.2, 0.15, 0.25), (size[0] - 0.4, size[1] - 0.35, 0.12))
    ]
    return [top, *things, *_legs(at, size, height, wood)]


def _chair(rng: np.random.Generator, at: tuple[float, float]) -> list[_Raw]:
    paint = _shade(rng)
    seat = _raw((at[0], at[1], 0.42), (0.42, 0.42, 0.06), paint, "checks")
    back = _raw((at[0], at[1] + 0.36, 0.48), (0.42, 0.06, 0.5), _shade(rng), "stripes")
    return [seat, back, *_legs(at, (0.42, 0.42), 0.42, paint)]


def _sofa(rng: np.random.Generator, at: tuple[float, float]) -> list[_Raw]:
    cloth = _shade(rng)
    base = _raw((at[0], at[1], 0.05), (1.9, 0.85, 0.38), cloth, "checks")
    back = _raw((at[0], at[1] + 0.65, 0.43), (1.9, 0.2, 0.45), cloth, "checks")
    arms = [_raw((at[0] + x, at[1], 0.43), (0.2, 0.65, 0.2), _shade(rng)) for x in (0.0, 1.7)]
    cushions = [
        _raw((at[0] + x, at[1] + 0.45, 0.43), (0.45, 0.18, 0.35), _shade(rng), "stripes")
        for x in (0.3, 1.1)
    ]
    return [base, back, *arms, *cushions]


def _shelves(rng: np.random.Generator, at: tuple[float, float]) -> list[_Raw]:
    wood = _shade(rng)
    sides = [_raw((at[0], at[1] + y, 0), (0.35, 0.05, 2.0), wood, "planks") for y in (0.0, 1.75)]
    boards = [_raw((at[0], at[1] + 0.05, z), (0.35, 1.7, 0.04), wood) for z in (0.1, 0.7, 1.3, 1.9)]
    books = [
        _raw((at[0] + 0.05, at[1] + 0.1 + 0.2 * slot, z + 0.04), (0.25, 0.15, tall), _shade(rng))
        for z in (0.1, 0.7, 1.3)
        for slot, tall in enumerate(rng.uniform(0.2, 0.45, 8))
        if tall > 0.24
    ]
    return [*sides, *boards, *books]


def _pictures(rng: np.random.Generator) -> list[_Raw]:
    hung: list[_Raw] = []
    for along, low, wide, tall in (
        (1.0, 1.3, 0.9, 0.7),
        (2.6, 1.2, 0.7, 0.9),
        (4.2, 1.4, 1.0, 0.6),
    ):
        hung.append(_raw((along, 0, low), (wide, 0.03, tall), _shade(rng)))
        hung.append(
            _raw(
                (along + 0.08, 0, low + 0.08),
                (wide - 0.16, 0.04, tall - 0.16),
                _shade(rng),
                "checks",
            )
        )
    hung.append(_raw((0, 1.6, 1.2), (0.03, 1.4, 0.9), _shade(rng)))
    hung.append(_raw((0, 1.7, 1.3), (0.04, 1.2, 0.7), _shade(rng), "stripes"))
    return hung


def camera_rays(
    eye: Float64[np.ndarray, " 3"], target: Float64[np.ndarray, " 3"], size_hw: tuple[int, int]
) -> Float64[np.ndarray, "h w 3"]:
    """Return the direction of each pixel's ray, for a horizontal field of view of 78 degrees."""
    ahead = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    down = np.cross(ahead, right)
    height, width = size_hw
    scale = np.tan(np.deg2rad(39)) / (width / 2)
    columns = (np.arange(width) + 0.5 - width / 2) * scale
    rows = (np.arange(height) + 0.5 - height / 2) * scale
    rays = ahead + columns[None, :, None] * right + rows[:, None, None] * down
    return rays / np.linalg.norm(rays, axis=2, keepdims=True)


def render(
    boxes: list[Box], eye: Float64[np.ndarray, " 3"], rays: Float64[np.ndarray, "h w 3"]
) -> tuple[UInt8[np.ndarray, "h w 3"], Int64[np.ndarray, "h w"]]:
    """Return the picture and the entity that each pixel shows, -1 where it is none."""
    nearest = np.full(rays.shape[:2], np.inf)
    entities = np.full(rays.shape[:2], -1, np.int64)
    image = np.zeros(rays.shape)
    for box in boxes:
        distance, axis = _hit(box, eye, rays)
        front = distance < nearest
        nearest[front] = distance[front]
        entities[front] = box.entity
        points = eye + distance[front, None] * rays[front]
        image[front] = _lit(box, points, axis[front], rays[front])
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), entities


def _hit(
    box: Box, eye: Float64[np.ndarray, " 3"], rays: Float64[np.ndarray, "h w 3"]
) -> tuple[Float64[np.ndarray, "h w"], Int64[np.ndarray, "h w"]]:
    """Return how far along its ray each pixel meets the box (inf: never) and on which axis."""
    slope = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    one, other = (np.array(box.low) - eye) / slope, (np.array(box.high) - eye) / slope
    enter, leave = np.minimum(one, other), np.maximum(one, other)
    near, far = enter.max(axis=2), leave.min(axis=2)
    return np.where((near <= far) & (near > 1e-6), near, np.inf), enter.argmax(axis=2)


def _lit(
    box: Box,
    points: Float64[np.ndarray, "p 3"],
    axis: Int64[np.ndarray, " p"],
    rays: Float64[np.ndarray, "p 3"],
) -> Float64[np.ndarray, "p 3"]:
    """Return the colour of points of a box: pattern, light from above, darker towards the floor."""
    facing = -np.sign(np.take_along_axis(rays, axis[:, None], axis=1)[:, 0])
    light = 0.72 + 0.28 * facing * LIGHT[axis]
    gloom = 0.82 + 0.18 * np.clip(points[:, 2] / ROOM[2], 0, 1)
    return np.array(box.colour) * (_pattern(box.pattern, points, axis) * light * gloom)[:, None]


def _pattern(
    name: str, points: Float64[np.ndarray, "p 3"], axis: Int64[np.ndarray, " p"]
) -> Float64[np.ndarray, " p"]:
    """Return the brightness of a pattern on the two axes along a face."""
    across = np.where(axis == 0, points[:, 1], points[:, 0])
    along = np.where(axis == 2, points[:, 1], points[:, 2])
    if name == "planks":
        grain = 0.05 * np.sin(140 * across + 6 * np.sin(9 * along))
        return 0.93 + grain - 0.16 * (np.mod(across, 0.16) < 0.012)
    if name == "bricks":
        course = np.floor(along / 0.14)
        joint = (np.mod(along, 0.14) < 0.02) | (np.mod(across + 0.17 * course, 0.34) < 0.02)
        return np.where(joint, 1.12, 0.9 + 0.06 * np.sin(12.9 * np.floor(across / 0.34) + course))
    if name == "stripes":
        return 0.94 + 0.09 * np.sign(np.sin(60 * across))
    if name == "checks":
        return 0.93 + 0.08 * np.sign(np.sin(45 * across) * np.sin(45 * along))
    if name == "sky":
        return 1.0 + 0.12 * np.sin(3 * across + 2 * np.sin(4 * along))
    return 0.96 + 0.02 * np.sin(23 * across) * np.sin(19 * along)
