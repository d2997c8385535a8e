import numpy as np
import pytest
import torch
from scipy import ndimage

from maskspace.partition.components import components


@pytest.mark.parametrize("seed", range(5))
def test_of_two_values_they_are_those_of_ndimage(seed):
    values = np.random.default_rng(seed).random((23, 31)) < 0.6
    embedding = torch.from_numpy(values.astype(np.float32))[None]
    found = components({"1": embedding, "foreground": 8 * embedding - 4}, min_area=1)
    expected, count = ndimage.label(values)
    assert len(found.scores) == count
    assert (found.labels == expected).all()


@pytest.mark.parametrize("seed", range(3))
def test_breaks_are_followed_to_the_letter(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, 9, 8), generator=generator)
    found = components({"affinity": logits}, min_area=1)
    parent = {(y, x): (y, x) for y in range(9) for x in range(8)}

    def root(p):
        return p if parent[p] == p else root(parent[p])

    for y in range(9):
        for x in range(8):
            if x < 7 and logits[0, y, x] <= 0:
                parent[root((y, x))] = root((y, x + 1))
            if y < 8 and logits[1, y, x] <= 0:
                parent[root((y, x))] = root((y + 1, x))
    for p in parent:
        for q in parent:
            assert (found.labels[p] == found.labels[q]) == (root(p) == root(q))


def test_of_the_foreground_alone_they_are_its_own():
    values = np.random.default_rng(9).random((23, 31)) < 0.6
    found = components(
        {"foreground": torch.from_numpy(8 * values.astype(np.float32) - 4)[None]}, min_area=1
    )
    assert (found.labels == ndimage.label(values)[0]).all()


def test_the_threshold_is_a_distance():
    embedding = torch.tensor([[[0.0, 0.3, 0.9]], [[0.0, 0.4, 0.4]]])  # 0.5 and 0.6 apart
    assert components({"1": embedding}, threshold=0.55, min_area=1).labels.tolist() == [[1, 1, 2]]
    assert components({"1": embedding}, threshold=0.65, min_area=1).labels.tolist() == [[1, 1, 1]]


def test_the_score_says_how_close_neighbours_are():
    ramp = torch.arange(6.0).expand(1, 5, 6)
    scores = [float(components({"1": k * ramp}, threshold=1.0).scores[0]) for k in (0.0, 0.4, 0.8)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx((5 * 5 + 4 * 6) / 60)


def test_a_threshold_above_zero_and_two_breaks():
    with pytest.raises(ValueError, match="threshold is above 0"):
        components({"1": torch.zeros(1, 2, 2)}, threshold=0.0)
    with pytest.raises(ValueError, match="affinity has 2 channels"):
        components({"affinity": torch.zeros(3, 2, 2)})
