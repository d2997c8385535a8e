import numpy as np

from maskspace.evaluation.interactive import answer_clicks, click_name, draw_clicks, one_click_iou
from maskspace.evaluation.truth import read_truth


def test_names_say_the_threshold_unless_it_is_a_half():
    assert click_name("center", 0.5) == "center"
    assert click_name("random", 0.49) == "random_049"


def test_clicks_lie_in_their_masks_and_do_not_depend_on_the_other_masks(samples):
    truth = read_truth(samples[0], min_area=1)
    drawn = draw_clicks(truth, seed=3)
    for clicks in drawn.values():
        assert all(m[c.y, c.x] for m, c in zip(truth.masks, clicks, strict=True))
    large = read_truth(samples[0], min_area=256)
    assert set(draw_clicks(large, seed=3)["random"]) <= set(drawn["random"])


def test_equal_clicks_share_one_answer_and_keep_their_places(samples, models):
    (model,) = models("probability").values()
    truth = read_truth(samples[0], min_area=256)
    clicks = draw_clicks(truth, seed=0)["center"]
    repeated = [clicks[1], clicks[0], clicks[1]]
    answers = answer_clicks(model, truth, repeated, thresholds=[0.5])
    expected = np.stack([model.click(truth.image, [click]) for click in repeated])
    np.testing.assert_array_equal(answers[0.5], expected)


def test_a_lower_threshold_lets_more_pixels_in(samples, models):
    (model,) = models("probability").values()
    model.margin = -0.005
    truth = read_truth(samples[0], min_area=256)
    clicks = draw_clicks(truth, seed=0)["center"]
    answers = answer_clicks(model, truth, clicks, thresholds=[0.5, 0.49])
    np.testing.assert_array_equal(answers[0.5], ~truth.masks)
    assert answers[0.49].all()


def test_a_model_of_masks_answers_at_a_half_only(samples, models):
    (model,) = models("oracle").values()
    truth = read_truth(samples[0], min_area=256)
    clicks = draw_clicks(truth, seed=0)
    every = [click for way in clicks.values() for click in way]
    answers = answer_clicks(model, truth, every, thresholds=[0.49, 0.5])
    assert set(answers) == {0.5}
    ious = one_click_iou(truth, clicks, answers)
    assert set(ious) == {"center", "random"}
    assert all((values == 1).all() for values in ious.values())
