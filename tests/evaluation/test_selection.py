import csv
import json
from dataclasses import asdict, replace

import pytest

from maskspace.config import Choice
from maskspace.evaluation.config import SelectConfig
from maskspace.evaluation.selection import (
    SweepTrial,
    decoder_trials,
    rank_trials,
    ranking_table,
    read_sweep_trials,
    write_ranking,
)

CONFIG = SelectConfig(limit=None, min_area=100, proposals=50, decoder_factors=())


def trial(name, *, loss=0.5, finished=True, collapsed=False):
    return SweepTrial(
        trial=name,
        objective=Choice(name="balls", options={"radius": 0.1}),
        validation_loss=loss,
        finished=finished,
        collapsed=collapsed,
    )


def rank(trials, chosen, samples):
    return rank_trials(trials, chosen, {"a": samples[:3], "b": samples[3:]}, config=CONFIG)


def test_the_best_model_wins_whatever_its_loss(samples, models):
    trials = [trial("silent", loss=0.1), trial("constant", loss=0.2), trial("oracle", loss=9.0)]
    scores = rank(trials, models("silent", "constant", "oracle"), samples)
    assert [score.trial.trial for score in scores] == ["oracle", "constant", "silent"]
    assert scores[0].score == 1
    for score in scores:
        assert score.score == pytest.approx(sum(score.by_dataset.values()) / 2)


def test_the_order_of_the_trials_does_not_matter_and_ties_go_to_the_smaller_loss(samples, models):
    trials = [trial("oracle", loss=2.0), trial("probability", loss=1.0)]
    chosen = models("oracle", "probability")
    assert rank(trials, chosen, samples) == rank(trials[::-1], chosen, samples)
    assert rank(trials, chosen, samples)[0].trial.trial == "probability"


def test_a_collapsed_trial_comes_last(samples, models):
    trials = [trial("oracle", collapsed=True), trial("constant")]
    scores = rank(trials, models("oracle", "constant"), samples)
    assert scores[-1].trial.trial == "oracle"
    assert "constant output" in ranking_table(scores)


def test_seeds_of_a_point_are_compared_by_their_mean(samples, models):
    trials = [
        replace(trial("oracle"), point="uneven"),
        replace(trial("silent"), point="uneven", seed=1),
        replace(trial("constant"), point="even"),
    ]
    scores = rank(trials, models("oracle", "silent", "constant"), samples)
    by_name = {score.trial.trial: score.score for score in scores}
    uneven = (by_name["oracle"] + by_name["silent"]) / 2
    first = "constant" if by_name["constant"] > uneven else "oracle"
    assert scores[0].trial.trial == first
    places = [score.trial.trial for score in scores]
    assert places.index("silent") == places.index("oracle") + 1


def test_a_decoder_is_tried_at_other_readings():
    decoder = Choice(name="mean_shift", options={"bandwidth": 0.2, "min_area": 4})
    own, half = decoder_trials(trial("a"), decoder, (0.5, 1.0))
    assert own == trial("a")
    assert half.trial == "a@bandwidth=0.1" and half.point == "a@bandwidth=0.1"
    assert half.decoder == Choice(name="mean_shift", options={"bandwidth": 0.1, "min_area": 4})
    assert decoder_trials(trial("a"), None, (0.5,)) == [trial("a")]
    plain = Choice(name="queries", options={})
    assert decoder_trials(trial("a"), plain, (0.5,)) == [trial("a")]


def test_the_winner_is_written_with_its_objective(samples, models, tmp_path):
    trials = [trial("oracle"), trial("silent", finished=False)]
    scores = rank(trials, models("oracle", "silent"), samples)
    write_ranking(scores, tmp_path, metric=CONFIG.metric)
    winner = json.loads((tmp_path / "winner.json").read_text())
    assert winner["trial"] == "oracle" and winner["score"] == 1
    assert winner["objective"] == {"name": "balls", "options": {"radius": 0.1}}
    assert [entry["trial"] for entry in winner["trials"]] == ["oracle", "silent"]
    with (tmp_path / "ranking.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["mean_best_iou_50"] for line in lines] == ["1.0", "0.0"]
    assert [line["finished"] for line in lines] == ["true", "false"]


def test_trials_are_read_whatever_else_the_file_says(tmp_path):
    path = tmp_path / "trials.json"
    path.write_text(json.dumps([{**asdict(trial("a")), "step": 3}]))
    assert read_sweep_trials(path) == [trial("a")]
    assert read_sweep_trials(path) != [replace(trial("a"), finished=False)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("[", "not JSON"), ("[]", "expected a list of trials"), ('[{"trial": "a"}]', "trial 0")],
)
def test_a_bad_file_is_told_in_one_line(tmp_path, text, said):
    path = tmp_path / "trials.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_sweep_trials(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="no such file"):
        read_sweep_trials(tmp_path / "other.json")
