"""Each linkage of the tree of colours, on an image whose regions are plain."""

from typing import get_args

import numpy as np
import pytest

from maskspace import load
from maskspace.masks import split_components
from maskspace.peers.lab import Linkage


@pytest.mark.parametrize("linkage", get_args(Linkage))
def test_every_linkage_finds_plain_quarters_and_keeps_its_graph(linkage):
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, 32:], image[32:, :32], image[32:, 32:] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    model = load(f"lab@linkage={linkage}")
    tree, expected = model.hierarchy(image), np.kron([[1, 2], [3, 4]], np.ones((32, 32), int))
    least = 0.94 if linkage == "border" else 1  # smoothed, edges move by up to a pixel
    assert (tree.partition(4) == expected).mean() >= least
    assert split_components(tree.partition(100)).max() == 100
    assert len(model.graph(image).areas) == tree.max_regions


def test_another_linkage_is_told():
    with pytest.raises(ValueError, match="linkage"):
        load("lab@linkage=complete").hierarchy(np.zeros((32, 32, 3), np.uint8))
