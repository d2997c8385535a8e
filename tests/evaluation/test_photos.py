"""The page of photos: every row there is, every row that is not, and nothing measured twice."""

import json

import numpy as np
import pytest

from maskspace.config import Choice, build_section
from maskspace.data.readers.rectangles import read_rectangles
from maskspace.evaluation.photos import MeasuredRow, PhotoRow, PhotosConfig, measure_photos
from maskspace.evaluation.photos_page import PICTURES, write_photos
from maskspace.loaded import Segmenter
from maskspace.partition.merge_tree import build_tree
from maskspace.types import Embedding


class Colours(Segmenter):
    """The merge tree of the image's colours; of faint ones a click is the whole image."""

    name, ranking = "colours", "persistence"
    answers = frozenset({"embed", "hierarchy", "partition", "propose", "click"})

    def __init__(self, gain: float = 1.0) -> None:
        self.gain, self.asked = gain, 0

    def embed(self, image):
        return Embedding({1: self.gain * image.transpose(2, 0, 1).astype(np.float32) / 255})

    def hierarchy(self, image):
        self.asked += 1
        return build_tree(self.embed(image).levels[1], regions=64)

    def partition(self, image, regions):
        return self.hierarchy(image).partition(regions)

    def propose(self, image, limit=100):
        return self.hierarchy(image).proposals(limit)

    def click(self, image, clicks):
        if self.gain < 0.5:
            return np.ones(image.shape[:2], bool)
        return self.hierarchy(image).region_at(clicks[0].x, clicks[0].y)

    def networks(self):
        return []


@pytest.fixture(scope="module")
def config():
    row = PhotoRow(model="lab")
    return PhotosConfig(
        reader=Choice(name="rectangles", options={}), root="", split="test", limit=2, min_area=16,
        proposal_counts=(1, 10, 50), recall_counts=(10,), region_counts=(2, 5, 9), regions=6,
        frame=4, reference="ours", rows={"ours": row, "theirs": row, "nowhere": row},
        ablations={"less": PhotoRow(model="lab", note="a note")})  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return list(read_rectangles("", seed=0, limit=3, size_hw=(32, 32)))


@pytest.fixture(scope="module")
def page(config, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    rows = [
        measure_photos("d", samples, name, Colours(gain), config=config, kept=folder / name)
        for name, gain in (("ours", 1.0), ("theirs", 0.2), ("less", 0.5))
    ]
    rows.insert(2, MeasuredRow(name="nowhere", missing="no such folder"))
    write_photos(rows, folder / "out", dataset="d", total=2, config=config)
    return folder / "out"


def test_every_number_stands_in_the_page_with_its_interval(page):
    text = (page / "photos.md").read_text()
    told = json.loads((page / "photos.json").read_text())
    assert set(told) == {"ours", "theirs", "less"} and text.startswith("# Photos\n\n2 photos of")
    for name in told:
        assert text.count(f"\n| {name} | ") == (4 if name == "ours" else 5)
        for figure in ("ar_10", "mean_best_iou_50", "miou_at_1_center"):
            assert f"{told[name][figure]:.3f} [" in text
        assert told[name]["interval_95"]["mirrored"]["low"] <= told[name]["mirrored"]


def test_a_row_that_is_missing_says_why_and_pictures_are_there(page):
    text = (page / "photos.md").read_text()
    assert "- nowhere: `lab`; no row: no such folder.\n" in text
    assert "- less: `lab`; proposals by persistence; a note.\n" in text
    assert all((page / path).read_bytes()[1:4] == b"PNG" for path in PICTURES.values())


def test_a_row_is_compared_with_the_reference_the_right_way_round(page):
    told = json.loads((page / "photos.json").read_text())
    _, _, last = (page / "photos.md").read_text().partition("## Against ours")
    (line,) = (line for line in last.splitlines() if line.startswith("| theirs | "))
    gain = told["theirs"]["miou_at_1_center"] - told["ours"]["miou_at_1_center"]
    assert line.startswith(f"| theirs | {gain:.3f} [")


def test_finished_photos_are_not_asked_again(config, samples, tmp_path):
    def measured(model):
        return measure_photos("d", samples, "ours", model, config=config, kept=tmp_path)

    first, again = Colours(), Colours()
    assert measured(first) == measured(again)
    assert first.asked > 0 == again.asked


def test_a_reference_that_is_no_row_and_a_name_given_twice_are_refused(config):
    plain = {
        "reader": {"name": "bsds500", "options": {}}, "root": "x", "split": "val", "limit": 1,
        "min_area": 1, "proposal_counts": [1], "recall_counts": [1], "region_counts": [2],
        "regions": 2, "frame": 1, "reference": "a", "rows": {"a": {"model": "lab"}},
        "ablations": {},
    }  # fmt: skip
    assert build_section(PhotosConfig, plain, place="p").rows["a"].tree == "own"
    for changed, told in (
        ({"reference": "b"}, "'b' is none of a"),
        ({"ablations": plain["rows"]}, "'a' is the name of a row, too"),
        ({"proposal_counts": [5, 1]}, "ascending"),
        ({"rows": {"a": {"model": "lab", "tree": "none"}}}, "rows.a.tree"),
    ):
        with pytest.raises(ValueError, match=told):
            build_section(PhotosConfig, plain | changed, place="p")
