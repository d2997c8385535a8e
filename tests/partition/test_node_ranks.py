import numpy as np
import pytest

from maskspace.partition.node_ranks import (
    DEMOTED,
    NodeShapes,
    fit_ranking,
    node_features,
    node_ranks,
    polynomial,
)


@pytest.fixture
def shapes():
    """Four leaves of which two pairs join, then the pairs: areas 1, 1, 9, 1 of the image's 12."""
    return NodeShapes(
        merges=np.array([[0, 1], [2, 3], [4, 5]]),
        heights=np.array([0.2, 0.4, 0.9], np.float32),
        areas=np.array([1.0, 1, 9, 1, 2, 10, 12]),
        outlines=np.array([[4.0, 2], [4, 2], [12, 9], [4, 4], [6, 5], [14, 5], [0, 0]]),
    )


def test_features_are_bounded_and_finite(shapes):
    features = node_features(shapes)
    assert features.shape[0] == 7 and np.isfinite(features).all()
    assert abs(features).max() <= 1


def test_a_polynomial_is_fitted_exactly():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3))
    weights = rng.normal(size=10)
    found = fit_ranking(features, polynomial(features) @ weights, penalty=0.0)
    np.testing.assert_allclose(found, weights, atol=1e-8)


def test_nodes_that_nobody_weighs_do_not_matter():
    rng = np.random.default_rng(0)
    features, quality = rng.normal(size=(200, 2)), rng.normal(size=200)
    weights = np.repeat([1.0, 0.0], 100)
    found = fit_ranking(features, quality, weights=weights)
    np.testing.assert_allclose(found, fit_ranking(features[:100], quality[:100]))


def test_what_stands_out_is_ranked_by_expected_quality(shapes):
    terms = polynomial(node_features(shapes)).shape[1]
    constant = (1.0,) + (0.0,) * (terms - 1)
    ranks = node_ranks(shapes, constant)
    assert ranks[6] == 0, "the whole image is never merged"
    # node 5 lives from .4 to .9 and is large; leaf 2 is nine tenths of it, and its chain's lesser
    assert ranks.argmax() == 5
    assert ranks[2] == pytest.approx(DEMOTED * (0.4 * (9 / 12) ** 0.5) ** 0.8)
    doubled = node_ranks(shapes, (2.0, *constant[1:]))
    np.testing.assert_allclose(doubled, 2 * ranks, rtol=1e-6)


def test_a_wrong_number_of_weights_is_told(shapes):
    with pytest.raises(ValueError, match="weights"):
        node_ranks(shapes, (1.0, 2.0))
