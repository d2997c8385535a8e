from dataclasses import replace
from pathlib import Path

import pytest

from maskspace.config import load_section
from maskspace.evaluation.config import EvaluateConfig, SelectConfig

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
     ("click_thresholds", (1.0,)), ("limit", 0)],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(config, key, value):
    with pytest.raises(ValueError, match=key):
        replace(config, **{key: value})
