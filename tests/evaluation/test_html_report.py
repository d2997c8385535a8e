"""The page: whole, self-contained, and true to the other files."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from maskspace.evaluation import Origin, evaluate_models
from maskspace.evaluation.html_report import PICTURES
from maskspace.evaluation.measures import figures_of

VOID = {"img", "meta", "br"}
ODD = "<b>&\"'$x$"


class Page(HTMLParser):
    """Holds the text, tags and sources of a page, and checks that elements are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.sources, self.text = [], [], [], ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


class Tree:
    """One region, whatever number is asked for."""

    max_regions = 1

    def __init__(self, size_hw):
        self.size_hw = size_hw

    def partition(self, regions):
        return np.ones(self.size_hw, np.int32)


@pytest.fixture
def written(samples, models, config, tmp_path):
    """Return the folder of an evaluation of three models on two datasets, one oddly named."""
    found = models("probability", "constant", "silent")
    chosen = {"oracle": found["probability"], ODD: found["constant"], "silent": found["silent"]}
    found["constant"].hierarchy = lambda image: Tree(image.shape[:2])
    datasets = {"first": samples[:3], f"second {ODD}": samples[3:]}
    origins = {"first": Origin(kind="bsds500", split="val")}
    evaluate_models(datasets, chosen, tmp_path, config=config, origins=origins)
    return tmp_path


def test_the_page_is_whole_and_fetches_nothing(written):
    html = (written / "report.html").read_text()
    page = Page(html)
    pictures = [source for source in page.sources if source.startswith("data:")]
    anchors = [source for source in page.sources if not source.startswith("data:")]
    assert anchors and all(source.startswith("#") for source in anchors)
    assert all(f'id="{source[1:]}"' in html for source in anchors)
    assert "script" not in page.tags and "link" not in page.tags
    assert not re.search(r"https?:|url\(|@import", html)
    inside = [base64.b64decode(source.partition("base64,")[2]) for source in pictures]
    shown = set(PICTURES) - {"regions.png"}  # rectangles do not cover their images: no covering
    assert sorted(inside) == sorted((written / name).read_bytes() for name in shown)


def test_names_are_shown_as_they_are(written):
    page = Page((written / "report.html").read_text())
    assert ODD in page.text
    assert "b" not in page.tags


def test_the_main_numbers_stand_in_it_with_their_intervals(written, config):
    main = {one.name for one in figures_of(config).values() if one.title and one.main}
    text = Page((written / "report.html").read_text()).text
    metrics = json.loads((written / "metrics.json").read_text())
    for models in metrics.values():
        for values in models.values():
            for column in main & set(values):
                assert f"{values[column]:.3f}" in text
                found = values["interval_95"].get(column)
                assert found is None or f"{found['low']:.3f} to {found['high']:.3f}" in text
            for reason in values["not_answered"].values():
                assert reason in text
    assert metrics["first"]["oracle"]["protocol"] in text
    assert "ranked by the truth's own order" in text


def test_published_values_are_listed_with_the_reason_why_not(written):
    text = Page((written / "report.html").read_text()).text
    assert "gPb-OWT-UCM" in text
    assert "split test, here val; 200 images, here 3" in text
    assert "from memory of the paper" in text


def test_versions_tell_the_data_apart_and_not_the_order(samples, models, config, tmp_path):
    def versions(name, chosen):
        evaluate_models({"r": chosen}, models("oracle"), tmp_path / name, config=config)
        return re.findall(r"truth ([0-9a-f]{12})", (tmp_path / name / "report.html").read_text())

    whole = versions("whole", samples)
    assert len(whole) == 1
    assert versions("turned", samples[::-1]) == whole
    assert versions("part", samples[1:]) != whole
