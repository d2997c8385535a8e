import numpy as np

from maskspace.masks import areas, pairwise_iou
from maskspace.peers.felzenszwalb import felzenszwalb_proposals, felzenszwalb_regions
from maskspace.types import Click, read_rgb


def test_plain_rectangles_are_found():
    image, masks = np.zeros((60, 80, 3), np.uint8), np.zeros((2, 60, 80), bool)
    masks[0, 5:30, 5:40], masks[1, 35:55, 30:70] = True, True
    image[masks[0]], image[masks[1]] = (200, 30, 30), (30, 200, 30)
    proposals = felzenszwalb_proposals(image, sigma=0.1)
    assert pairwise_iou(proposals.masks, masks).max(axis=0).min() == 1


def test_regions_of_a_photo_are_distinct_and_ranked_by_area(assets):
    path = sorted((assets / "bsds500" / "val" / "images").glob("*.jpg"))[0]
    proposals = felzenszwalb_proposals(read_rgb(str(path))[::3, ::3])
    assert len(proposals) == 100
    assert (np.diff(areas(proposals.masks)) <= 0).all()
    flat = proposals.masks.reshape(len(proposals), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)
    np.testing.assert_allclose(proposals.scores, flat.mean(axis=1), rtol=1e-6)


def test_one_scale_gives_a_partition_and_more_scales_its_superset():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    one = felzenszwalb_proposals(image, scales=(100.0,), limit=1000)
    assert (one.masks.sum(axis=0) == 1).all()
    more = felzenszwalb_proposals(image, scales=(100.0, 800.0), limit=1000)
    known = {mask.tobytes() for mask in more.masks}
    assert {mask.tobytes() for mask in one.masks} <= known


def test_a_large_image_is_answered_at_its_own_size():
    image = np.zeros((50, 300, 3), np.uint8)
    image[:, 150:] = 200
    proposals = felzenszwalb_proposals(image, max_side=100)
    assert proposals.masks.shape[1:] == (50, 300)
    left = np.arange(300)[None] < 150
    assert pairwise_iou(proposals.masks, np.broadcast_to(left, (1, 50, 300))).max() > 0.95


def test_a_click_gives_the_region_under_it_at_its_scale():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    regions = felzenszwalb_proposals(image, scales=(100.0,), limit=1000).masks
    answer = felzenszwalb_regions(image, scale=100.0)
    first, second = (regions[:, y, x].argmax() for x, y in ((5, 5), (75, 55)))
    np.testing.assert_array_equal(answer([Click(5, 5)]), regions[first])
    both = answer([Click(5, 5), Click(75, 55)])
    np.testing.assert_array_equal(both, regions[first] | regions[second])
    less = answer([Click(5, 5), Click(75, 55), Click(6, 6, positive=False)])
    np.testing.assert_array_equal(less, regions[second])


def test_the_ranking_by_stability_counts_the_scales_that_give_a_region():
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    scales = (100.0, 400.0, 1600.0, 6400.0)
    known = [
        {mask.tobytes() for mask in felzenszwalb_proposals(image, scales=(k,), limit=1000).masks}
        for k in scales
    ]
    found = felzenszwalb_proposals(image, scales=scales, limit=1000, ranking="stability")
    times = [sum(mask.tobytes() in one for one in known) for mask in found.masks]
    np.testing.assert_allclose(found.scores, np.array(times) / len(scales))
    assert len(set(times)) > 1
    order = list(zip(times, areas(found.masks), strict=True))
    assert order == sorted(order, reverse=True)
    by_area = felzenszwalb_proposals(image, scales=scales, limit=1000)
    assert {m.tobytes() for m in by_area.masks} == {m.tobytes() for m in found.masks}
