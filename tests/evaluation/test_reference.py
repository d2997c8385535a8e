"""A published value stands beside a run that did the same, and beside no other."""

from dataclasses import replace

import pytest

from maskspace.evaluation.config import PROTOCOLS, protocol_config
from maskspace.evaluation.findings import Origin
from maskspace.evaluation.measures import figures_of
from maskspace.evaluation.plots import click_panels
from maskspace.evaluation.published import BSDS, DAVIS, PUBLISHED
from maskspace.evaluation.reference import place_published
from maskspace.evaluation.region_report import region_panels

SEGNEXT = PROTOCOLS["segnext"]
ORIGIN = Origin(kind="davis_interactive", split="test")


def placed(method, *, origin=ORIGIN, images=DAVIS.images, side=1024, config=SEGNEXT):
    found = place_published(origin, images, [side] if side else [], config)
    (one,) = [one for one in found if one.published.method.startswith(method)]
    return one


def clicking(**changes):
    return replace(SEGNEXT, interactive=replace(SEGNEXT.interactive, **changes))


def test_the_published_protocol_on_the_whole_split_is_comparable():
    one = placed("SegNext")
    assert one.reasons == ()
    assert one.run == "center_049_iterative"
    assert one.values == one.published.values
    assert one.values["miou_at_1"] == pytest.approx(0.8597, abs=5e-5)
    assert list(one.click_line().x) == [1, 2, 3, 5, 10]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"origin": Origin(kind="davis_interactive", split="val")}, "split test, here val"),
        ({"origin": Origin(kind="davis_interactive", split=None)}, "split test, here none"),
        ({"images": DAVIS.images - 1}, "345 images, here 344"),
        ({"side": 512}, "images of 1024 px, here 512 px"),
        ({"side": None}, "here no model brought to a square"),
        ({"config": clicking(clickers=("random",))}, "here random p > 0.49"),
        ({"config": clicking(thresholds=(0.5,))}, "p > 0.49, here center p > 0.5"),
        ({"config": clicking(clickers=())}, "here none"),
        ({"config": replace(SEGNEXT, min_area=256)}, "here of 256 pixels or more"),
    ],
)
def test_one_difference_is_enough_and_is_told(changed, told):
    one = placed("SegNext", **changed)
    assert len(one.reasons) == 1
    assert told in one.reasons[0]
    assert one.values == {}


def test_another_kind_and_an_unknown_origin_have_nothing_to_compare():
    kinds = {one.split.kind for one in PUBLISHED if one.split}
    assert place_published(None, 345, [1024], SEGNEXT) == []
    other = place_published(Origin(kind="camvid", split="test"), 345, [1024], SEGNEXT)
    assert "camvid" not in kinds
    assert all(one.published.split is None and one.reasons for one in other)


@pytest.mark.parametrize(
    "changed",
    [{"modes": ("claims",)}, {"max_clicks": 1}, {"target_iou": 0.95, "noc_targets": (0.9,)}],
)
def test_of_rounds_that_were_not_played_alike_the_first_click_is_left(changed):
    one = placed("SegNext", config=clicking(**changed))
    assert one.reasons == ()
    assert list(one.values) == ["miou_at_1"]


def test_a_square_of_2048_takes_the_line_of_2048_and_loses_that_of_1024():
    assert placed("Order-Aware", side=2048).reasons == ()
    assert placed("SegNext", side=2048).values == {}
    assert placed("Order-Aware").values == {}


def test_sam_was_cut_at_a_half():
    half = clicking(thresholds=(0.5,))
    assert placed("SAM ViT-B").values == {}
    assert placed("SAM ViT-B", config=half).run == "center_iterative"


def test_regions_need_the_split_whole_and_values_that_were_read():
    asked = {"origin": Origin(kind="bsds500", split="test"), "images": BSDS.images, "side": None}
    assert set(placed("gPb", **asked).values) == {"covering_ods", "covering_ois", "covering_best"}
    for changed in (
        {"images": 100},
        {"origin": Origin(kind="bsds500", split="val")},
        {"config": replace(SEGNEXT, region_counts=())},
    ):
        assert len(placed("gPb", **{**asked, **changed}).reasons) == 1
    for method in ("MCG", "Felzenszwalb"):
        one = placed(method, **asked)
        assert one.values == {}
        assert one.reasons == ("from memory of the paper",)


def test_values_of_an_unknown_dataset_are_never_comparable():
    unknown = [one for one in PUBLISHED if one.split is None]
    assert {one.method for one in unknown} == {"SAM 2.1"}
    config = clicking(clickers=("random",), thresholds=(0.5,))
    found = place_published(ORIGIN, DAVIS.images, [1024], config)
    assert all(one.values == {} for one in found if one.published.split is None)


def test_a_line_is_drawn_beside_the_run_that_was_clicked_alike():
    metrics = {"d": {"m": {"miou_at_1_center_049_iterative": 0.5, "protocol": "p"}}}
    same, other = placed("SegNext"), placed("SegNext", images=5)
    assert [line.label for line in beside(metrics, same)] == [same.label]
    assert "center clicks, p > 0.49, 1024 px" in same.label
    assert not beside(metrics, other)
    assert not beside({"d": {"m": {"miou_at_1_center": 0.5}}}, same)


def beside(metrics, one):
    return [line for line in click_panels(metrics, {"d": [one]})["d"] if line.published]


def test_covering_is_drawn_where_a_model_partitions():
    origin = Origin(kind="bsds500", split="test")
    one = placed("gPb", origin=origin, images=BSDS.images)
    figures = figures_of(protocol_config("maskspace"))
    headings = [figure.heading for figure in figures.values()]
    measured = {"covering_ods": 0.5, "covering_ois": 0.6, "covering_best": 0.7}
    lines = region_panels({"d": {"m": measured, "n": {}}}, {"d": [one]}, headings)["d"]
    assert [line.published for line in lines] == [False, True]
    assert list(lines[0].y) == [0.5, 0.6, 0.7]
    assert region_panels({"d": {"n": {}}}, {"d": [one]}, headings)["d"] == []
