from dataclasses import astuple

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from scipy.io import loadmat

from maskspace.metrics.covering import best_overlaps, covering
from maskspace.metrics.hierarchy import (
    nested_region_scores,
    region_scores,
    region_summaries,
    region_summary,
)
from maskspace.metrics.information import variation_of_information
from maskspace.metrics.rand import probabilistic_rand_index


def example(seed, *, side=12, scales=4, annotators=3):
    generator = np.random.default_rng(seed)
    pieces = generator.integers(0, 9, (side, side))
    regions = np.array([generator.integers(0, 9 - 2 * scale, 9) for scale in range(scales)])
    true = list(generator.integers(0, 4, (annotators, side, side)))
    return pieces, regions, true


def equal(left, right):
    for name in ("covered", "best_covered", "area", "rand", "information"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), rtol=1e-12)


def test_every_scale_is_the_metric_of_its_partition():
    pieces, regions, true = example(0)
    scores = region_scores(list(regions[:, pieces]), true)
    for scale, region in enumerate(regions):
        labels = region[pieces]
        assert scores.covered[scale] / scores.area == pytest.approx(covering(labels, true))
        assert scores.rand[scale] == pytest.approx(probabilistic_rand_index(labels, true))
        expected = np.mean([variation_of_information(labels, one) for one in true])
        assert scores.information[scale] == pytest.approx(expected)
    every = [
        np.max([best_overlaps(region[pieces], one)[1] for region in regions], axis=0)
        @ best_overlaps(pieces, one)[0]
        for one in true
    ]
    assert scores.best_covered == pytest.approx(sum(every))


@pytest.mark.parametrize("seed", range(5))
def test_pieces_merged_count_as_their_label_maps(seed):
    pieces, regions, true = example(seed)
    maps = region_scores(list(regions[:, pieces]), true)
    equal(nested_region_scores(pieces, regions, true), maps)


def test_freedom_never_costs():
    images = [region_scores(list(r[:, p]), t) for p, r, t in map(example, range(6))]
    summary = region_summary(images)
    assert summary.covering_ods <= summary.covering_ois <= summary.covering_best <= 1
    assert summary.rand_ods <= summary.rand_ois <= 1
    assert 0 <= summary.information_ois <= summary.information_ods


def test_a_resample_is_the_data_set_with_images_repeated():
    images = [region_scores(list(r[:, p]), t) for p, r, t in map(example, range(4))]
    times = np.random.default_rng(0).integers(0, 3, (5, 4)) + np.eye(4)[0]
    for row, found in zip(times, region_summaries(images, times), strict=True):
        repeated = [one for one, n in zip(images, row.astype(int), strict=True) for _ in range(n)]
        assert tuple(found) == pytest.approx(astuple(region_summary(repeated)))


def test_a_hierarchy_that_holds_the_truth_is_best_at_its_scale():
    true = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((3, 3), int))
    summary = region_summary([region_scores([np.ones_like(true), true], [true])] * 2)
    assert summary.covering_ods == summary.covering_ois == summary.covering_best == 1
    assert summary.rand_ods == 1 and summary.information_ods == pytest.approx(0)


def test_images_that_agree_on_no_scale_lose_only_at_one_scale_for_all():
    true = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((3, 3), int))
    whole = np.ones_like(true)
    summary = region_summary([region_scores([whole, true], [true]),
                              region_scores([true, whole], [true])])  # fmt: skip
    assert summary.covering_ois == 1 and summary.covering_ods == pytest.approx((1 + 0.25) / 2)


def test_one_scale_leaves_no_choice_but_that_of_regions():
    pieces, _, true = example(3)
    summary = region_summary([region_scores([pieces], true)])
    assert summary.covering_ods == summary.covering_ois == pytest.approx(summary.covering_best)


def test_nothing_and_different_numbers_of_scales_are_refused():
    pieces, regions, true = example(1)
    with pytest.raises(ValueError, match="0 scales"):
        region_scores([], true)
    with pytest.raises(ValueError, match="0 true maps"):
        nested_region_scores(pieces, regions, [])
    with pytest.raises(ValueError, match="different numbers of scales"):
        region_summary([region_scores([pieces] * n, true) for n in (1, 2)])
    with pytest.raises(ValueError, match="images without scores"):
        region_summary([])


def test_the_authors_hierarchies_score_as_published(assets):
    """Published on the 200 test images; four of val tell that the conventions are the same."""
    images = []
    for path in sorted((assets / "bsds500_ucm2" / "val").glob("*.mat"))[:4]:
        contours = loadmat(path)["ucm2"]
        scales = [
            ndimage.label(contours <= level, structure=np.ones((3, 3)))[0][1::2, 1::2]
            for level in np.linspace(0.05, 0.6, 12)
        ]
        files = (assets / "bsds500" / "val" / "groundTruth").glob(f"{path.stem}_a*.png")
        images.append(region_scores(scales, [np.asarray(Image.open(f)).astype(int) for f in files]))
    summary = region_summary(images)
    assert 0.45 < summary.covering_ods < summary.covering_ois < summary.covering_best < 0.9
    assert 0.7 < summary.rand_ods < 0.95
    assert 1 < summary.information_ods / np.log(2) < 2.5
