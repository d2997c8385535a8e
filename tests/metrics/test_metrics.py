"""Laws that every entry of the tables obeys."""

import numpy as np
import pytest

from maskspace.metrics import MASK_METRICS, METRICS, PARTITION_METRICS, PROPOSAL_METRICS

TRUE = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((3, 4), int))
SEVERAL = {"boundary_f", "covering", "probabilistic_rand_index"}
#: Boundary pixels are those to the left of a border and above it: only a transpose keeps them.
TRANSPOSED = {"boundary_f"}


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
    side = (slice(None), slice(None, None, 1 if name in TRANSPOSED else -1))
    flipped, turned = TRUE[side].T, predicted[side].T
    again = PARTITION_METRICS[name](turned, [flipped] if name in SEVERAL else flipped)
    assert again == pytest.approx(value)


@pytest.mark.parametrize("name", PROPOSAL_METRICS)
def test_perfect_proposals(name):
    truths = TRUE[None] == np.arange(1, 5)[:, None, None]
    given = ([truths], [truths]) if name == "average_recall" else (truths, truths)
    assert PROPOSAL_METRICS[name](*given) == 1


@pytest.mark.parametrize("name", MASK_METRICS)
def test_perfect_masks_and_opposite_ones(name):
    truths = TRUE[None] == np.arange(1, 5)[:, None, None]
    ignore = (np.zeros(TRUE.shape, bool),) if name == "click_iou" else ()
    assert (MASK_METRICS[name](truths, truths, *ignore) == 1).all()
    assert (MASK_METRICS[name](~truths, truths, *ignore) == 0).all()


def test_the_table_holds_all_families():
    families = PROPOSAL_METRICS.keys(), PARTITION_METRICS.keys(), MASK_METRICS.keys()
    assert METRICS.keys() == set().union(*families)
    assert len(METRICS) == sum(map(len, families))
