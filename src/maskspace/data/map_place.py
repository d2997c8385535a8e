"""Where the pixels of a GeoTIFF lie on the map, by rasterio (the extra `geo`); label TIFFs."""

import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import Float64, Int, Int64

#: What GeoJSON's coordinates are without a further word: longitude and latitude, in degrees.
LONGITUDE_LATITUDE = "EPSG:4326"
#: Tags of a TIFF that say where it lies: scale, tie points, matrix, and the coordinate system.
_PLACE_TAGS = (33550, 33922, 34264, 34735, 34736, 34737)


@dataclass(frozen=True)
class MapPlace:
    """How corners of pixels become map coordinates.

    affine: a, b, c, d, e, f of x = a column + b row + c, y = d column + e row + f, where (0, 0) is
        the upper left corner of the image.
    crs: the coordinate system, as "EPSG:32632", or as WKT where it has no number.

    Example:
        >>> place = MapPlace((10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0), "EPSG:32632")
        >>> place.on_map(np.array([[0, 0], [2, 1]])).tolist()
        [[500000.0, 4600000.0], [500020.0, 4599990.0]]
        >>> place.pixel_area, place.mirrors
        (100.0, True)
    """

    affine: tuple[float, float, float, float, float, float]
    crs: str

    def on_map(self, corners_xy: Int64[np.ndarray, "v 2"]) -> Float64[np.ndarray, "v 2"]:
        """Return the map coordinates of corners of pixels."""
        a, b, c, d, e, f = self.affine
        column, row = corners_xy.T.astype(np.float64)
        return np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)

    @property
    def pixel_area(self) -> float:
        """Return the area of a pixel, in squared units of the coordinate system."""
        return abs(self._determinant)

    @property
    def mirrors(self) -> bool:
        """Return whether what runs clockwise in the image runs counterclockwise on the map."""
        return self._determinant < 0

    @property
    def _determinant(self) -> float:
        a, b, _, d, e, _ = self.affine
        return a * e - b * d


def is_geotiff(path: Path) -> bool:
    """Return whether a file is a TIFF that says where it lies on the map.

    Example:
        >>> is_geotiff(Path("photo.jpg"))
        False
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return False
    try:
        with tifffile.TiffFile(path) as file:
            return file.pages.first.is_geotiff
    except (OSError, ValueError):  # what is wrong with the file says who reads its pixels
        return False


def turns(path: Path) -> bool:
    """Return whether a TIFF says that its pixels are to be turned.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "a.tif")
        >>> tifffile.imwrite(path, np.zeros((2, 3), np.uint8))
        >>> turns(path)
        False
    """
    with tifffile.TiffFile(path) as file:
        tag = file.pages.first.tags.get("Orientation")
        return tag is not None and tag.value != 1


def can_read_places() -> bool:
    """Return whether rasterio is installed.

    Example:
        >>> can_read_places() in (True, False)
        True
    """
    return find_spec("rasterio") is not None


def map_place(path: Path) -> MapPlace | None:
    """Return where a GeoTIFF lies; None for one without a transform or a coordinate system.

    Raises ValueError where rasterio cannot read the file.
    """
    import rasterio
    from rasterio.errors import RasterioError

    try:
        with rasterio.open(path) as file:
            transform, crs = file.transform, file.crs
    except (RasterioError, OSError) as error:
        raise ValueError(f"{path}: its place on the map cannot be read ({error})") from None
    if crs is None or transform.is_identity:
        return None
    number = crs.to_epsg()
    a, b, c, d, e, f = tuple(transform)[:6]
    return MapPlace((a, b, c, d, e, f), crs.to_wkt() if number is None else f"EPSG:{number}")


def label_tiff(labels: Int[np.ndarray, "h w"], source: Path | None = None) -> bytes:
    """Return a label map as a tiled TIFF that lies where the source does, if that is a GeoTIFF.

    What a GeoTIFF says of its place is taken over as it stands, which needs no rasterio. Labels
    have 8 bits to 255, 16 to 65535, else 32.

    Example:
        >>> content = label_tiff(np.array([[1, 2], [2, 300]]))
        >>> tifffile.imread(io.BytesIO(content)).tolist()
        [[1, 2], [2, 300]]
    """
    kept = [] if source is None else _place_tags(source)
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        labels.astype(np.min_scalar_type(int(labels.max(initial=0)))),
        photometric="minisblack",
        tile=(256, 256),
        compression="zlib",
        metadata=None,
        extratags=kept,
    )
    return file.getvalue()


def _place_tags(path: Path) -> list[tuple[int, int, int, object, bool]]:
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        return [
            (code, int(tag.dtype), tag.count, tag.value, True)
            for code in _PLACE_TAGS
            if (tag := tags.get(code)) is not None
        ]
