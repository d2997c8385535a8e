import io

import numpy as np
import pytest
from PIL import Image

from maskspace.data.readers.mask_layers import encode_layers, layer_counts
from maskspace.masks import areas, decode


def layer_maps(layers: list[bytes]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(layer))).astype(np.int64) for layer in layers]


@pytest.mark.parametrize("number", [1, 7, 40])
def test_overlapping_masks_survive_the_coding(number: int) -> None:
    rng = np.random.default_rng(number)
    masks = rng.random((number, 11, 13)) < 0.2
    masks[:, 0, 0] |= ~masks.any(axis=(1, 2))
    layers, mapping = encode_layers(masks)
    assert (decode(layer_counts(layer_maps(layers), mapping), (11, 13)) == masks).all()


def test_disjoint_masks_share_a_layer_until_it_is_full() -> None:
    masks = np.eye(300, dtype=bool).reshape(300, 15, 20)
    layers, mapping = encode_layers(masks)
    assert len(layers) == 2
    assert sorted(mapping) == sorted(
        [(0, n) for n in range(1, 256)] + [(1, n) for n in range(1, 46)]
    )


def test_larger_masks_come_first_and_nested_ones_in_layers_of_their_own() -> None:
    masks = np.zeros((3, 6, 6), bool)
    masks[0, 2:4, 2:4] = masks[1, 1:5, 1:5] = masks[2] = True
    layers, mapping = encode_layers(masks)
    assert list(areas(masks)) == [4, 16, 36] and mapping == [(2, 1), (1, 1), (0, 1)]
    assert len(layers) == 3


def test_a_place_that_is_not_there_is_refused() -> None:
    maps = [np.array([[0, 1]])]
    with pytest.raises(ValueError, match="mask 1: is in layer 3 of 1"):
        layer_counts(maps, [(0, 1), (3, 1)])
    with pytest.raises(ValueError, match="mask 0: layer 0 has no pixel of value 2"):
        layer_counts(maps, [(0, 2)])
    assert layer_counts([], []) == []
