"""Laws of clicks on networks of the SAM family."""

import pickle
from itertools import permutations

import numpy as np
import pytest
import torch

from maskspace.peers.prompted import clicked_mask
from maskspace.peers.sam import sam, sam_hq
from maskspace.peers.sam2 import sam2
from maskspace.segmenter.loading import load
from maskspace.types import Click

NETWORKS = {"sam": sam, "sam-hq": sam_hq, "sam2": sam2}
CLICKS = [Click(10, 12), Click(40, 30), Click(25, 5, positive=False)]


@pytest.mark.parametrize("name", NETWORKS)
def test_one_click_is_answered_by_the_mask_of_the_largest_predicted_iou(name, published, picture):
    weights = str(published[name])
    network = NETWORKS[name](weights=weights)
    seen = network.look(picture)
    points_xy, positive = np.array([[[10.0, 12.0]]]), np.ones((1, 1), bool)
    logits, ious = network.decode(seen, points_xy, positive, multimask=True)
    assert logits.shape[1] == (1 if name == "sam-hq" else 3)
    best = network.enlarge(logits[0], seen)[ious[0].argmax()] > 0
    answer = clicked_mask(NETWORKS[name], picture, weights=weights)
    assert (answer([Click(10, 12)]) != best.numpy()).sum() <= 1  # a logit of 0 but for rounding
    single, _ = network.decode(seen, points_xy, positive, multimask=False)
    alone = clicked_mask(NETWORKS[name], picture, weights=weights, multimask="never")
    expected = network.enlarge(single[0, :1], seen)[0] > 0
    assert (alone([Click(10, 12)]) != expected.numpy()).sum() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_order_and_repetition_of_clicks_do_not_matter(name, published, picture):
    answer = clicked_mask(NETWORKS[name], picture, weights=str(published[name]))
    expected = answer(CLICKS)
    assert expected.shape == picture.shape[:2] and expected.dtype == bool
    for clicks in permutations(CLICKS):
        np.testing.assert_array_equal(answer([*clicks, clicks[0]]), expected)
    assert not answer([Click(25, 5, positive=False)]).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_itself_takes_clicks_as_a_set(name, published, picture):
    network = NETWORKS[name](weights=str(published[name]))
    seen = network.look(picture)
    points_xy = np.array([[(c.x, c.y) for c in CLICKS]], np.float64)
    positive = np.array([[c.positive for c in CLICKS]])
    logits, _ = network.decode(seen, points_xy, positive, multimask=False)
    turned, _ = network.decode(seen, points_xy[:, ::-1], positive[:, ::-1], multimask=False)
    torch.testing.assert_close(turned, logits, rtol=1e-4, atol=1e-5)
    unsigned, _ = network.decode(seen, points_xy, np.ones_like(positive), multimask=False)
    assert not torch.allclose(unsigned, logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size_hw", [(16, 16), (16, 300), (200, 17), (64, 64)])
def test_any_image_can_be_looked_at(name, size_hw, published):
    model = load(f"{name}@weights={published[name]}")
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    mask = model.click(image, [(size_hw[1] - 1, size_hw[0] - 1, True), (0, 0, False)])
    assert mask.shape == size_hw


@pytest.mark.parametrize("name", NETWORKS)
def test_a_pickled_model_is_small_and_answers_the_same(name, published, picture):
    model = load(f"{name}@weights={published[name]},points_per_side=3,pred_iou_thresh=0")
    mask = model.click(picture, [(10, 12, True)])
    pickled = pickle.dumps(model)
    assert len(pickled) < 5000
    np.testing.assert_array_equal(pickle.loads(pickled).click(picture, [(10, 12, True)]), mask)
