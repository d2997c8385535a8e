"""What a run answers is what the model and the rules of editing say of the same clicks."""

import numpy as np
import pytest

from maskspace.evaluation.answers import MASKS_ONLY, NO_ROUNDS, answers, why_unanswered
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import ClickRun
from maskspace.loaded import Segmenter
from maskspace.partition.editing import RULES, combine_clicks, logit
from maskspace.types import Click

IMAGE = np.zeros((6, 7, 3), np.uint8)
CLICKS = [Click(1, 1), Click(5, 2, False), Click(3, 4), Click(0, 5, False)]


class Maps(Segmenter):
    """Answers a fixed random map to every click, and counts what it was asked for."""

    name, ranking = "maps", "nothing"
    answers = frozenset({"click_probabilities", "refine"})

    def __init__(self):
        self.asked = []

    def click_probabilities(self, image, clicks):
        self.asked += clicks
        seeds = [[click.x, click.y, click.positive] for click in clicks]
        shape = image.shape[:2]
        return np.stack([np.random.default_rng(s).random(shape).astype(np.float32) for s in seeds])

    def refine(self, image, clicks, previous):
        latest = self.click_probabilities(image, clicks).mean(axis=0)
        return latest if previous is None else (latest + previous) / 2


def run(mode, threshold):
    return ClickRun(clicker="center", threshold=threshold, mode=mode, clicks=4)


@pytest.mark.parametrize("mode", RULES)
@pytest.mark.parametrize("threshold", [0.5, 0.49, 0.8])
def test_rounds_are_the_rule_applied_to_the_maps_of_all_clicks(mode, threshold):
    model = Maps()
    answering = answers(model, IMAGE, run(mode, threshold), Asked(), {})
    for k in range(1, len(CLICKS) + 1):
        ((slot, mask),) = answering.masks({7: CLICKS[:k]})
        maps = logit(Maps().click_probabilities(IMAGE, CLICKS[:k]))
        shifted = maps - logit(np.full(1, threshold, np.float32))
        positive = np.array([click.positive for click in CLICKS[:k]])
        if k > 1 or mode == "claims":
            np.testing.assert_array_equal(mask, combine_clicks(shifted, positive, rule=mode))
        assert slot == 7
    assert model.asked == CLICKS, "one more click costs one map"


def test_the_first_map_is_cut_strictly_above_the_threshold():
    cut = np.float32(0.49)
    map_ = np.full((6, 7), cut)
    map_[0, 0] = np.nextafter(cut, np.float32(1))
    for mode in RULES:
        answering = answers(Maps(), IMAGE, run(mode, 0.49), Asked(), {CLICKS[0]: map_})
        ((_, mask),) = answering.masks({0: CLICKS[:1]})
        assert mask.sum() == 1 and mask[0, 0]


def test_slots_know_nothing_of_each_other():
    together = answers(Maps(), IMAGE, run("claims", 0.5), Asked(), {})
    histories = {0: CLICKS, 1: CLICKS[::-1]}
    for k in range(1, 5):
        found = dict(together.masks({slot: made[:k] for slot, made in histories.items()}))
        for slot, made in histories.items():
            alone = answers(Maps(), IMAGE, run("claims", 0.5), Asked(), {})
            rounds = [dict(alone.masks({slot: made[:j]})) for j in range(1, k + 1)]
            np.testing.assert_array_equal(found[slot], rounds[-1][slot])
            np.testing.assert_array_equal(together.probability(slot), alone.probability(slot))


def test_the_published_way_gives_each_round_the_last_probability():
    answering = answers(Maps(), IMAGE, run("iterative", 0.49), Asked(), {})
    previous = None
    for k in range(1, len(CLICKS) + 1):
        ((_, mask),) = answering.masks({0: CLICKS[:k]})
        previous = Maps().refine(IMAGE, CLICKS[:k], previous)
        np.testing.assert_array_equal(mask, previous > np.float32(0.49))
        np.testing.assert_array_equal(answering.probability(0), previous)


def test_a_model_is_not_asked_for_what_it_does_not_have(models):
    masks_only, maps = (models(name)[name] for name in ("oracle", "probability"))
    assert "click_probabilities" in maps.answers and "refine" not in maps.answers
    assert why_unanswered(masks_only, run("claims", 0.5)) is None
    assert why_unanswered(masks_only, run("claims", 0.49)) == MASKS_ONLY
    assert why_unanswered(masks_only, run("largest", 0.5)) == MASKS_ONLY
    assert why_unanswered(maps, run("largest", 0.49)) is None
    assert why_unanswered(maps, run("iterative", 0.5)) == NO_ROUNDS
    assert why_unanswered(Maps(), run("iterative", 0.5)) is None
