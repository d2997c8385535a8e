"""Laws that every entry of the tables obeys."""

import numpy as np
import pytest

from maskspace.metrics import METRICS, PARTITION_METRICS, PROPOSAL_METRICS

TRUE = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((3, 4), int))
SEVERAL = {"covering", "probabilistic_rand_index"}


def partition_metric(name, predicted):
    return PARTITION_METRICS[name](predicted, [TRUE] if name in SEVERAL else TRUE)


@pytest.mark.parametrize("name", PARTITION_METRICS)
def test_perfect_partition(name):
    perfect = 0 if name == "variation_of_information" else 1
    assert partition_metric(name, TRUE) == pytest.approx(perfect, abs=1e-15)


@pytest.mark.parametrize("name", PARTITION_METRICS)
def test_names_of_regions_and_flips_do_not_matter(name):
    predicted = np.random.default_rng(0).integers(1, 4, TRUE.shape)
    value = partition_metric(name, predicted)
    assert partition_metric(name, (predicted * 7) % 23) == pytest.approx(value)
    flipped = TRUE[:, ::-1]
    again = PARTITION_METRICS[name](predicted[:, ::-1], [flipped] if name in SEVERAL else flipped)
    assert again == pytest.approx(value)


@pytest.mark.parametrize("name", PROPOSAL_METRICS)
def test_perfect_proposals(name):
    truths = TRUE[None] == np.arange(1, 5)[:, None, None]
    given = ([truths], [truths]) if name == "average_recall" else (truths, truths)
    assert PROPOSAL_METRICS[name](*given) == 1


def test_the_table_holds_both_families():
    assert METRICS.keys() == PROPOSAL_METRICS.keys() | PARTITION_METRICS.keys() | {"click_iou"}
