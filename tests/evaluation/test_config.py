from dataclasses import replace
from pathlib import Path

import pytest

from maskspace.config import load_section
from maskspace.evaluation.config import (
    OWN_PROTOCOL,
    PROTOCOLS,
    EvaluateConfig,
    SelectConfig,
    protocol_config,
)

PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


def test_the_repositorys_sections_load():
    evaluate = load_section(EvaluateConfig, "evaluate", path=PARAMS)
    select = load_section(SelectConfig, "select", path=PARAMS)
    assert evaluate.headline_count == 50
    assert evaluate.proposal_limit >= 100
    assert select.measured().proposal_limit == select.proposals


@pytest.mark.parametrize(
    ("key", "value"),
    [("proposal_counts", ()), ("proposal_counts", (2, 1)), ("recall_counts", (0,)),
     ("region_counts", (3, 2)), ("min_area", 0), ("limit", 0)],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(config, key, value):
    with pytest.raises(ValueError, match=key):
        replace(config, **{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [("first_thresholds", (1.0,)), ("levels", (0.0,)), ("clickers", ("edge",)), ("max_clicks", 0),
     ("modes", ("voting",)), ("target_iou", 1.5), ("noc_targets", (1.01,))],
)  # fmt: skip
def test_clicks_that_cannot_be_made_are_refused(key, value):
    with pytest.raises(ValueError, match=key):
        replace(OWN_PROTOCOL, **{key: value})


def test_a_count_of_clicks_beyond_the_end_of_a_run_is_refused():
    with pytest.raises(ValueError, match=r"at most target_iou; got 0\.95"):
        replace(OWN_PROTOCOL, target_iou=0.9)


def test_what_is_asked_for_one_click_and_for_several_is_one_run():
    config = replace(OWN_PROTOCOL, first_clickers=("center",), max_clicks=4)
    assert {run.name: run.clicks for run in config.runs} == {"center": 4, "center_049": 1}


def test_the_published_protocol_is_that_of_the_paper():
    (run,) = PROTOCOLS["segnext"].interactive.runs
    assert (run.clicker, run.threshold, run.mode, run.clicks) == ("center", 0.49, "iterative", 20)
    assert PROTOCOLS["segnext"].interactive.target_iou > 1
    assert run.name == "center_049_iterative"
    assert "segnext" in PROTOCOLS["segnext"].described


def test_what_is_given_stands_in_place_of_the_protocols_own():
    config = protocol_config("maskspace", limit=3, clicks=5, clickers=["inner"], modes=["largest"])
    assert {run.name: run.clicks for run in config.interactive.runs} == {
        "inner": 1, "inner_049": 1, "inner_largest": 5,
    }  # fmt: skip
    assert config.limit == 3
    assert protocol_config("segnext") == PROTOCOLS["segnext"]
    with pytest.raises(ValueError, match="choose one of maskspace, segnext"):
        protocol_config("other")
