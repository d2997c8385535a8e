import pickle

import numpy as np
import pytest
import torch

from maskspace.peers.dinov2 import dinov2
from maskspace.segmenter.loading import load


def test_features_are_unit_vectors_of_patches_in_0_1(published):
    """Where a level has a pixel a patch, it is the patches themselves."""
    network = dinov2(weights=str(published["dinov2"]), side=56, stride=14)
    images = torch.rand(2, 3, 28, 56, generator=torch.Generator().manual_seed(0))
    (level,) = network(images).values()
    assert level.shape == (2, 24, 2, 4)
    assert level.min() >= 0 and level.max() <= 1
    vectors = 2 * level - 1
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2, 2, 4), rtol=1e-5, atol=1e-5)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = (images - mean[:, None, None]) / std[:, None, None]
    tokens = network.model(pixel_values=pixels).last_hidden_state[:, 1:]
    cosine = torch.cosine_similarity(tokens, vectors.flatten(2).transpose(1, 2), dim=2)
    torch.testing.assert_close(cosine, torch.ones(2, 8), rtol=1e-5, atol=1e-5)


def test_heights_are_half_the_chord_between_features(published):
    """Two patches make a tree of one merge, whose height is but for the factor of small regions."""
    model = load(f"dinov2@weights={published['dinov2']},side=56,stride=28")
    image = np.zeros((28, 56, 3), np.uint8)
    image[:, 28:] = 255
    level = model.embed(image).levels[28]
    assert level.shape == (24, 1, 2)
    left, right = 2 * level[:, 0].T - 1
    small = 0.5 / (0.5 + 2 / 64)  # of one pixel each, a grain of 1/64 of the image
    expected = small**0.5 * np.linalg.norm(left - right) / 2
    np.testing.assert_allclose(model.hierarchy(image).heights, [expected], rtol=1e-4)


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_every_question_is_answered(stride, published, picture):
    model = load(f"dinov2@weights={published['dinov2']},side=56,stride={stride}")
    levels = model.embed(picture).levels
    assert levels[stride].shape == (24, -(-40 // stride), -(-54 // stride))
    labels = model.partition(picture, 5)
    assert labels.shape == picture.shape[:2] and set(np.unique(labels)) == set(range(1, 6))
    assert 0 < len(model.propose(picture, limit=7)) <= 7
    assert model.click(picture, [(3, 4, True)])[4, 3]
    assert model.session(picture).mask.shape == picture.shape[:2]


def test_a_pickled_network_is_the_name_of_its_weights(published, picture):
    model = load(f"dinov2@weights={published['dinov2']},side=42")
    pickled = pickle.dumps(model)
    assert len(pickled) < 2000
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.embed(picture).levels[2], model.embed(picture).levels[2])
