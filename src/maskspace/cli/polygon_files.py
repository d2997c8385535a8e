"""Regions and masks as polygons on the edges of pixels: SVG and GeoJSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from maskspace.cli.frame import MARK

if TYPE_CHECKING:
    import numpy as np

    from maskspace.cli.segment_files import Segmented
    from maskspace.data.map_place import MapPlace

    Part = list[np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A region or a mask: its parts, each an outer ring and its holes, and what is known of it.

    A ring is its corners (x, y), in pixels from the upper left corner of the image.

    Example:
        >>> import numpy as np
        >>> square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]])
        >>> Outline(id=1, area=4, parts=[[square]]).name
        'region'
    """

    id: int
    area: int
    parts: "list[Part]"
    name: str = "region"
    score: float | None = None
    parent: int | None = None


def svg(one: "Segmented") -> bytes:
    """Return an SVG of the image's size, a path of every region, larger ones first.

    Paths are filled by the even-odd rule, so that holes are holes.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from maskspace.cli.segment_files import Segmented
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> [line for line in svg(one).decode().splitlines() if "<path" in line][0]
        '<path id="region-1" class="region" fill="#403efa" d="M0,0H2V2H0Z"/>'
    """
    import numpy as np

    from maskspace.pictures import label_colors

    height, width = one.image.shape[:2]
    outlines = sorted(outlines_of(one), key=lambda outline: (-outline.area, outline.id))
    overlaps = any(outline.score is not None for outline in outlines)
    shine = ' fill-opacity="0.6"' if overlaps else ""
    lines = [
        f"<!-- {MARK.decode()} -->",
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" fill-rule="evenodd" shape-rendering="crispEdges"'
        f"{shine}>",
        f"<title>{escape(one.name)}</title>",
    ]
    ids = np.array([outline.id for outline in outlines], np.int64)
    for outline, color in zip(outlines, label_colors(ids).tolist(), strict=True):
        said = f'id="region-{outline.id}" class={quoteattr(outline.name)}'
        if outline.score is not None:
            said += f' data-score="{outline.score:.6g}"'
        fill = "#{:02x}{:02x}{:02x}".format(*color)
        lines.append(f'<path {said} fill="{fill}" d="{"".join(_path(outline.parts))}"/>')
    return "\n".join([*lines, "</svg>\n"]).encode()


def _path(parts: "list[Part]") -> Iterator[str]:
    """Yield the commands of an SVG path: every step goes along a row or a column."""
    for ring in (ring.tolist() for part in parts for ring in part):
        yield "M{},{}".format(*ring[0])
        for (_, y), (to_x, to_y) in pairwise(ring):
            yield f"H{to_x}" if to_y == y else f"V{to_y}"
        yield "Z"


def geojson(one: "Segmented") -> bytes:
    """Return a GeoJSON of polygons with holes, in map coordinates where they are known.

    Neighbours have the same corners along their common border, so that no rounding parts them.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from maskspace.cli.segment_files import Segmented
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> features = json.loads(geojson(one))["features"]
        >>> features[0]["geometry"]["coordinates"]
        [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]
    """
    import numpy as np

    from maskspace.pictures import label_colors

    place = one.map_place
    units = "pixels" if place is None else place.crs
    document: dict[str, object] = {
        "type": "FeatureCollection",
        "info": {"description": MARK.decode(), "image": one.name, "coordinates": units},
        **({} if place is None else _coordinate_system(place)),
    }

    features = []
    for outline in outlines_of(one):
        color = label_colors(np.array([outline.id]))[0].tolist()
        properties: dict[str, object] = {
            "id": outline.id,
            "objectType": "annotation",  # so that QuPath reads it
            "name": f"{outline.name} {outline.id}",
            "class": outline.name,
            "color": color,
            "area_pixels": outline.area,
        }
        if place is not None:
            properties["area_map"] = outline.area * place.pixel_area
        if outline.score is not None:
            properties |= {"score": outline.score, "parent": outline.parent}
        polygons = [[_closed(ring, place) for ring in part] for part in outline.parts]
        many = len(polygons) > 1
        geometry = {
            "type": "MultiPolygon" if many else "Polygon",
            "coordinates": polygons if many else polygons[0],
        }
        features.append(
            {"type": "Feature", "id": outline.id, "properties": properties, "geometry": geometry}
        )
    return json.dumps({**document, "features": features}, separators=(",", ":")).encode()


def _coordinate_system(place: "MapPlace") -> dict[str, object]:
    """Return GeoJSON's member `crs` of 2008, which GDAL, QGIS and geopandas read."""
    from maskspace.data.map_place import LONGITUDE_LATITUDE

    if place.crs == LONGITUDE_LATITUDE:
        return {}
    name = place.crs
    if name.startswith("EPSG:"):
        name = f"urn:ogc:def:crs:EPSG::{name.removeprefix('EPSG:')}"
    return {"crs": {"type": "name", "properties": {"name": name}}}


def _closed(ring: "np.ndarray", place: "MapPlace | None") -> list[list[float] | list[int]]:
    """Return a ring whose last corner is the first, outer rings counterclockwise (RFC 7946)."""
    corners = (ring if place is None else place.on_map(ring)).tolist()
    if place is not None and place.mirrors:
        corners.reverse()
    return [*corners, corners[0]]


def outlines_of(one: "Segmented") -> Iterator[Outline]:
    """Yield the outlines of the regions of a label map by label, of proposals best first.

    Example:
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from maskspace.cli.segment_files import Segmented
        >>> image, labels = np.zeros((2, 4, 3), np.uint8), np.array([[1, 1, 2, 2]] * 2, np.int32)
        >>> one = Segmented(name="a.jpg", place=Path("out/a"), image=image, found=labels)
        >>> [(outline.id, outline.area) for outline in outlines_of(one)]
        [(1, 4), (2, 4)]
    """
    import numpy as np

    from maskspace.masks.rings import trace_rings

    if isinstance(one.found, np.ndarray):
        areas = np.bincount(one.found.ravel())
        for label, parts in trace_rings(one.found).regions():
            yield Outline(id=label, area=int(areas[label]), parts=parts)
        return
    from maskspace.cli.segment_files import annotations_of
    from maskspace.masks import decode

    height, width = one.image.shape[:2]
    names = {category.id: category.name for category in one.categories}
    for mark in annotations_of(one, 1):
        left, top, wide, high = (int(side) for side in mark["bbox"])
        mask = decode([mark["segmentation"]["counts"]], (height, width))[0]
        rings = trace_rings(mask[top : top + high, left : left + wide].view(np.int8))
        (_, parts) = next(rings.regions())
        yield Outline(
            id=mark["id"],
            area=mark["area"],
            parts=[[ring + np.array([left, top]) for ring in part] for part in parts],
            name=names.get(mark["category_id"], "region"),
            score=mark["score"],
            parent=mark["parent"],
        )
