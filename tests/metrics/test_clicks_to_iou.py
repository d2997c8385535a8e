import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from maskspace.metrics.clicks_to_iou import (
    click_iou,
    clicks_to_iou,
    failures,
    iou_at_levels,
    never_reached,
)

NOTHING = np.zeros((2, 3), bool)


def test_perfect_is_one_opposite_is_zero():
    mask = np.array([[[1, 1, 0], [0, 0, 0]]], bool)
    assert click_iou(mask, mask, NOTHING) == [1]
    assert click_iou(~mask, mask, NOTHING) == [0]


def test_ignored_pixels_change_nothing():
    generator = np.random.default_rng(0)
    predicted, true = generator.random((2, 5, 2, 3)) < 0.5
    ignore = np.array([[0, 1, 0], [0, 0, 1]], bool)
    before = click_iou(predicted, true, ignore)
    np.testing.assert_array_equal(before, click_iou(predicted ^ ignore, true, ignore))
    np.testing.assert_array_equal(before, click_iou(predicted, true ^ ignore, ignore))


def test_nothing_over_nothing_is_not_a_number():
    empty = NOTHING[None]
    assert np.isnan(click_iou(empty, empty, NOTHING)[0])
    assert np.isnan(click_iou(~empty, ~empty, ~NOTHING)[0])


def test_clicks_to_iou_is_the_first_that_reaches_and_the_last_if_none():
    ious = np.array([[0.2, 0.9, 0.5], [0.1, 0.2, 0.3], [0.85, 0.1, 0.9]])
    assert clicks_to_iou(ious, target=0.85).tolist() == [2, 3, 1]


def test_a_perfect_model_needs_one_click_and_a_hopeless_one_all():
    perfect, hopeless = np.ones((3, 5)), np.zeros((3, 5))
    assert clicks_to_iou(perfect, target=0.95).tolist() == [1, 1, 1]
    assert clicks_to_iou(hopeless, target=0.05).tolist() == [5, 5, 5]
    assert failures(perfect, target=1.0) == never_reached(perfect, target=1.0) == 0
    assert failures(hopeless, target=0.05) == never_reached(hopeless, target=0.05) == 3


def test_a_higher_target_never_takes_fewer_clicks():
    ious = np.random.default_rng(0).random((50, 7))
    counts = [clicks_to_iou(ious, target=target) for target in (0.1, 0.5, 0.9, 0.99)]
    assert all((low <= high).all() for low, high in pairwise(counts))
    for target in (0.5, 0.9):
        assert never_reached(ious, target=target) <= failures(ious, target=target)


def test_a_success_at_the_last_click_is_a_failure_only_as_published():
    ious = np.array([[0.2, 0.9], [0.2, 0.3]])
    assert failures(ious, target=0.85) == 2
    assert never_reached(ious, target=0.85) == 1


def test_clicks_that_were_not_made_reach_nothing():
    stopped = np.array([[0.97, np.nan, np.nan], [0.1, 0.2, 0.3]])
    assert clicks_to_iou(stopped, target=0.95).tolist() == [1, 3]
    assert clicks_to_iou(stopped, target=0.98).tolist() == [3, 3]


def test_cuts_of_one_map_are_click_ious_and_their_best_is_no_worse_than_any():
    generator = np.random.default_rng(0)
    map_ = generator.random((6, 7)).astype(np.float32)
    true, ignore = generator.random((2, 6, 7)) < 0.4
    levels = (0.1, 0.5, 0.9)
    found = iou_at_levels(map_, true, ignore, levels=levels)
    reference = [click_iou((map_ > level)[None], true[None], ignore)[0] for level in levels]
    np.testing.assert_array_equal(found, reference)
    nothing = np.zeros_like(true)
    assert np.isnan(iou_at_levels(np.zeros_like(map_), nothing, ignore, levels=levels)).all()


def test_counts_agree_with_the_recorded_ones(vectors):
    recorded = json.loads((vectors / "segnext_vectors.json").read_text())["noc"]
    limit = max(len(line) for line in recorded["ious"])
    ious = np.array([line + [np.nan] * (limit - len(line)) for line in recorded["ious"]])
    counts = [clicks_to_iou(ious, target=target) for target in recorded["thresholds"]]
    assert [float(count.mean()) for count in counts] == recorded["noc"]
    assert [float(count.std()) for count in counts] == pytest.approx(recorded["std"], abs=1e-12)
    found = [failures(ious, target=target) for target in recorded["thresholds"]]
    assert found == recorded["count_at_max"]


def test_ious_agree_with_the_recorded_ones(vectors):
    """The masks of the recorded values that are recorded too, under their names."""
    file = json.loads((vectors / "segnext_vectors.json").read_text())
    cases = {case["name"]: case for case in file["center_clicker"]}
    recorded = {case["name"]: case["value"] for case in file["iou"]}
    over = cases["over_segmentation"]
    true, predicted = (np.array([list(line) for line in over[k]]) == "#" for k in ("gt", "pred"))
    nothing = np.zeros_like(true)
    found = click_iou(np.stack([predicted, nothing]), np.stack([true, true]), nothing)
    assert found.tolist() == [recorded["g1_vs_over"], recorded["bool_vs_zero"]]


def test_ious_agree_with_a_recorded_evaluation(vectors):
    case = torch.load(vectors / "segnext_tiny_sax1_448.pt", weights_only=True)["evaluation_case"]
    truth = case["gt"].numpy()
    maps = np.stack([step["probs"].numpy() for step in case["steps"]])
    true = np.broadcast_to(truth == 1, maps.shape)
    found = click_iou(maps > case["pred_thr"], true, truth == -1)
    np.testing.assert_allclose(found, case["ious"].numpy(), rtol=0, atol=1e-6)
