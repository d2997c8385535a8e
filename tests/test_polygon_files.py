"""SVG and GeoJSON: what is drawn is what was found, on the map where a GeoTIFF says where."""

import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.features import rasterize
from rasterio.transform import Affine

from maskspace.cli import main

SVG = "{http://www.w3.org/2000/svg}path"
MODEL = ["--model", "lab"]


def pixels(height: int = 24, width: int = 32) -> np.ndarray:
    """A square with a hole, and a second one of its colour, on a darker ground."""
    image = np.full((height, width, 3), 40, np.uint8)
    image[4:16, 4:16] = 220
    image[8:12, 8:12] = 40
    image[18:22, 24:30] = (220, 30, 30)
    return image


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "in" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(pixels()).save(path)
    return path


def segmented(photo: Path, out: Path, kind: str, *options: str) -> Path:
    number = [] if "--proposals" in options else ["--regions", "5"]
    command = ["segment", str(photo), *MODEL, *number, *options, "--format", kind]
    assert main([*command, "--out", str(out)]) == 0
    return out / f"{photo.stem}.{kind}"


def label_map(photo: Path, out: Path) -> np.ndarray:
    return np.load(segmented(photo, out, "npz"))["labels"]


def burnt(features: list[dict], size_hw: tuple[int, int], affine: Affine) -> np.ndarray:
    """GDAL's reading of polygons: the label of a pixel whose centre lies inside."""
    shapes = [(one["geometry"], one["id"]) for one in features]
    return rasterize(shapes, out_shape=size_hw, transform=affine, dtype="int32")


def test_geojson_has_the_regions_without_a_gap_or_an_overlap(photo, tmp_path):
    features = json.loads(segmented(photo, tmp_path, "geojson").read_text())["features"]
    labels = label_map(photo, tmp_path)
    assert [one["id"] for one in features] == list(range(1, 6))
    one_by_one = [burnt([one], labels.shape, Affine.identity()) for one in features]
    np.testing.assert_array_equal(sum(one_by_one), labels)
    for one in features:
        assert one["properties"]["area_pixels"] == (labels == one["id"]).sum()


def painted(path: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """The paths of an SVG filled by even-odd, one above the other."""
    labels = np.zeros(size_hw, int)
    for shape in ElementTree.parse(path).getroot().iter(SVG):
        crossings = np.zeros((size_hw[0], size_hw[1] + 1), int)
        for ring in shape.attrib["d"].split("Z")[:-1]:
            x, y = begin = tuple(map(int, re.match(r"M(\d+),(\d+)", ring).groups()))
            moves = re.findall(r"([HV])(\d+)", ring)
            for axis, place in [*moves, ("V", str(begin[1]))]:
                if axis == "V":
                    crossings[min(y, int(place)) : max(y, int(place)), x] += 1
                x, y = (int(place), y) if axis == "H" else (x, int(place))
        labels[crossings.cumsum(1)[:, :-1] % 2 == 1] = int(shape.attrib["id"].split("-")[1])
    return labels


def test_svg_has_the_regions_and_their_holes(photo, tmp_path):
    path = segmented(photo, tmp_path, "svg")
    root = ElementTree.parse(path).getroot()
    assert root.attrib["viewBox"] == "0 0 32 24" and root.attrib["fill-rule"] == "evenodd"
    np.testing.assert_array_equal(painted(path, (24, 32)), label_map(photo, tmp_path))


def test_proposals_have_their_scores_and_parents(photo, tmp_path):
    masks = np.load(segmented(photo, tmp_path, "npz", "--proposals", "4"))["masks"]
    path = segmented(photo, tmp_path, "geojson", "--proposals", "4")
    features = json.loads(path.read_text())["features"]
    for mask, one in zip(masks, features, strict=True):
        np.testing.assert_array_equal(burnt([one], mask.shape, Affine.identity()) > 0, mask)
        assert {"score", "parent"} <= one["properties"].keys()
    path = segmented(photo, tmp_path, "svg", "--proposals", "4")
    assert len(list(ElementTree.parse(path).getroot().iter(SVG))) == 4


AFFINE = Affine.translation(8.5, 47.25) @ Affine.rotation(12) @ Affine.scale(0.125, -0.25)


def geotiff(path: Path, crs: str) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=24, width=32, count=3, dtype="uint8", crs=crs,
        transform=AFFINE, photometric="rgb",
    ) as file:  # fmt: skip
        file.write(pixels().transpose(2, 0, 1))
    return path


def test_a_label_map_lies_where_its_geotiff_does(tmp_path):
    path = geotiff(tmp_path / "map.tif", "EPSG:32632")
    command = ["segment", str(path), *MODEL, "--regions", "5", "--out", str(tmp_path)]
    for _ in range(2):  # what it wrote itself it writes again
        assert main([*command, "--format", "tif"]) == 0
    with rasterio.open(tmp_path / "map.labels.tif") as file:
        assert file.crs.to_epsg() == 32632 and file.transform.almost_equals(AFFINE, 1e-9)
        np.testing.assert_array_equal(file.read(1), label_map(path, tmp_path))


def test_a_page_is_chosen_and_more_than_one_is_told(tmp_path, capsys):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([pixels() * 0, pixels()]), photometric="rgb")
    second = label_map(path, tmp_path / "first")
    assert "2 pages; the first is taken" in capsys.readouterr().err
    segmented(path, tmp_path / "second", "npz", "--page", "2")
    assert not capsys.readouterr().err
    (tmp_path / "plain").mkdir()
    tifffile.imwrite(tmp_path / "plain" / "stack.tif", pixels(), photometric="rgb")
    expected = label_map(tmp_path / "plain" / "stack.tif", tmp_path / "third")
    found = np.load(tmp_path / "second" / "stack.npz")["labels"]
    np.testing.assert_array_equal(found, expected)
    assert (found != second).any()


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326"])
def test_geojson_of_a_geotiff_is_on_the_map(crs, tmp_path):
    affine, path = AFFINE, geotiff(tmp_path / "map.tif", crs)
    document = json.loads(segmented(path, tmp_path, "geojson").read_text())
    labels = label_map(path, tmp_path)
    np.testing.assert_array_equal(burnt(document["features"], labels.shape, affine), labels)
    assert ("crs" in document) == (crs != "EPSG:4326")
    one = document["features"][0]
    assert one["properties"]["area_map"] == pytest.approx(0.125 * 0.25 * (labels == 1).sum())
    ring = np.array(one["geometry"]["coordinates"][0])
    x, y = (ring - ring[0]).T
    assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0  # counterclockwise, as RFC 7946 says
    polygons = [feature["geometry"]["coordinates"] for feature in document["features"]]
    rings = [[tuple(corner) for corner in ring] for polygon in polygons for ring in polygon]
    sides = {side for ring in rings for side in pairwise(ring)}
    for begin, end in sides:  # on the photo's edge, or walked back by a neighbour, to the last bit
        (x, y), (to_x, to_y) = (np.round(~affine @ corner) for corner in (begin, end))
        on_edge = (x == to_x and x in (0, 32)) or (y == to_y and y in (0, 24))
        assert on_edge or (end, begin) in sides


def test_a_plain_tiff_stays_in_pixels(tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels(), photometric="rgb")
    document = json.loads(segmented(path, tmp_path, "geojson").read_text())
    assert document["info"]["coordinates"] == "pixels" and "crs" not in document


def test_a_click_is_written_as_polygons_too(photo, tmp_path):
    command = ["click", str(photo), "--at", "5,5", "--model", "flood-fill", "--out"]
    for ending in ("png", "svg", "geojson"):
        assert main([*command, str(tmp_path / f"mask.{ending}")]) == 0
    mask = np.asarray(Image.open(tmp_path / "mask.png")) > 0
    assert mask.sum() == 12 * 12 - 4 * 4
    features = json.loads((tmp_path / "mask.geojson").read_text())["features"]
    np.testing.assert_array_equal(burnt(features, mask.shape, Affine.identity()) > 0, mask)
    np.testing.assert_array_equal(painted(tmp_path / "mask.svg", mask.shape) > 0, mask)
