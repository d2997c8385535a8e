"""The loop of clicks: its laws on models whose answers are known beforehand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskspace.data.clicks import center_click, next_click, random_click
from maskspace.evaluation import interactive
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import OWN_PROTOCOL, SEGNEXT_PROTOCOL
from maskspace.evaluation.interactive import click_masks, first_click
from maskspace.evaluation.truth import Truth, read_truth
from maskspace.loaded import Segmenter

ROUNDS = replace(OWN_PROTOCOL, first_clickers=("center", "random"), max_clicks=4, target_iou=1.01)


@pytest.fixture
def truth(samples):
    return read_truth(samples[0], min_area=256)


def clicked(model, truth, config=ROUNDS):
    asked = Asked()
    return click_masks(model, truth, config, asked), asked


def test_first_clicks_are_those_of_the_clickers(truth):
    for index, (mask, mask_id) in enumerate(zip(truth.masks, truth.ids, strict=True)):
        assert first_click(truth, index, "center", seed=3) == center_click(mask)
        drawn = random_click(mask, seed=3, key=truth.key, mask_id=mask_id)
        assert first_click(truth, index, "random", seed=3) == drawn


def test_a_perfect_model_is_perfect_after_every_click_and_changes_nothing(models, truth):
    (model,) = models("probability").values()
    found, _ = clicked(model, truth, replace(ROUNDS, target_iou=1.0))
    assert set(found.ious) == {"center", "center_049", "random", "random_049"}
    for ious in found.ious.values():
        assert ious == [[1.0]] * len(truth.masks)
    assert found.best_level == {way: [1.0] * len(truth.masks) for way in ("center", "random")}


def test_only_a_target_ends_a_run(models, truth):
    (model,) = models("refining").values()
    config = replace(SEGNEXT_PROTOCOL, max_clicks=6)
    whole, _ = clicked(model, truth, config)
    ended, _ = clicked(model, truth, replace(config, target_iou=0.7, noc_targets=(0.7,)))
    for free, stopped in zip(
        *(f.ious["center_049_iterative"] for f in (whole, ended)), strict=True
    ):
        assert len(free) == 6
        reached = next(k for k, iou in enumerate(free, start=1) if iou >= 0.7)
        assert stopped == free[:reached]


def test_iou_grows_with_a_model_that_mends_more_at_each_click(models, truth):
    (model,) = models("refining").values()
    found, _ = clicked(model, truth, replace(SEGNEXT_PROTOCOL, max_clicks=5))
    for ious in found.ious["center_049_iterative"]:
        assert all(np.diff(ious) > 0)
    for made in found.changes["center_049_iterative"]:
        assert [outside for _, outside in made] == [0] * 4
        assert all(changed > 0 for changed, _ in made)


def test_masks_at_a_time_change_nothing(models, truth, monkeypatch):
    (model,) = models("refining").values()
    config = replace(ROUNDS, modes=("claims", "largest", "iterative"))
    together, _ = clicked(model, truth, config)
    monkeypatch.setattr(interactive, "PIXELS_AT_ONCE", 1)
    alone, _ = clicked(model, truth, config)
    assert together == alone


def test_a_model_of_masks_answers_at_a_half_and_by_its_own_way_only(models, truth):
    (model,) = models("oracle").values()
    found, asked = clicked(model, truth, replace(ROUNDS, modes=("claims", "iterative")))
    assert set(found.ious) == {"center", "random"}
    assert found.best_level == {}
    assert set(asked.not_answered) == {
        "click_center_049", "click_random_049", "click_center_iterative",
    }  # fmt: skip


def test_a_model_that_refuses_clicks_is_told_once(models, truth):
    (model,) = models("silent").values()
    found, asked = clicked(model, truth, replace(ROUNDS, first_thresholds=(0.5,)))
    assert found.ious == found.changes == found.best_level == {}
    assert asked.not_answered == {"click": "silent cannot answer click; it answers propose"}


def test_a_refusal_in_the_middle_of_the_masks_leaves_no_part_of_a_run(models, truth, monkeypatch):
    (model,) = models("refining").values()
    monkeypatch.setattr(interactive, "PIXELS_AT_ONCE", 1)
    refine, calls = model.refine, []

    def tired(image, clicks, previous):
        calls.append(clicks)
        if len(calls) > 3:
            raise ValueError("tired")
        return refine(image, clicks, previous)

    model.refine = tired
    found, asked = clicked(model, truth, replace(SEGNEXT_PROTOCOL, max_clicks=2))
    assert found.ious == found.changes == {}
    assert asked.not_answered == {"click_center_049_iterative": "tired"}


def test_ignored_pixels_neither_count_nor_draw_clicks(models, truth):
    (model,) = models("refining").values()
    ignore = np.zeros_like(truth.ignore)
    ignore[::3] = True
    marked = Truth(
        key=truth.key, image=truth.image, masks=truth.masks & ~ignore, ids=truth.ids,
        ignore=ignore, too_small=0, label_maps=(),
    )  # fmt: skip
    seen = []
    refine = model.refine
    model.refine = lambda image, clicks, previous: (
        seen.extend(clicks) or refine(image, clicks, previous)
    )
    clicked(model, marked, replace(SEGNEXT_PROTOCOL, max_clicks=5))
    assert seen and not any(ignore[click.y, click.x] for click in seen)


def test_a_recorded_evaluation_is_repeated_click_by_click(vectors):
    """The recorded maps are fed back as the model's: clicks must be the recorded ones, IoUs too."""
    case = torch.load(vectors / "segnext_tiny_sax1_448.pt", weights_only=True)["evaluation_case"]
    labels = case["gt"].numpy()
    steps = case["steps"]
    truth = Truth(
        key="recorded", image=case["image_u8"].numpy(), masks=(labels == 1)[None], ids=(1,),
        ignore=labels == -1, too_small=0, label_maps=(),
    )  # fmt: skip
    given = []

    class Recorded(Segmenter):
        name, ranking, answers = "recorded", "nothing", frozenset({"refine"})

        def refine(self, image, clicks, previous):
            if previous is not None:
                np.testing.assert_array_equal(previous, steps[len(clicks) - 2]["probs"].numpy())
            given.append(clicks[-1])
            return steps[len(clicks) - 1]["probs"].numpy()

    config = replace(SEGNEXT_PROTOCOL, max_clicks=len(steps))
    found, asked = clicked(Recorded(), truth, config)
    assert asked.not_answered == {}
    assert [(click.y, click.x, click.positive) for click in given] == [
        (step["row"], step["col"], step["positive"]) for step in steps
    ]
    (ious,) = found.ious["center_049_iterative"]
    np.testing.assert_allclose(ious, case["ious"].numpy(), rtol=0, atol=1e-6)
    assert given[1] == next_click(
        steps[0]["probs"].numpy() > 0.49, truth.masks[0], ignore=truth.ignore, clicked=given[:1]
    )
