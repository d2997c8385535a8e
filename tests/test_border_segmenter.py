"""A student for photos as a loaded model: all answers come from one tree."""

import numpy as np
import pytest
import torch
from skimage import data

import maskspace
from maskspace.segmenter.border import HEIGHTS


@pytest.fixture(scope="module")
def photo():
    return data.astronaut()[:200, 100:340]


@pytest.fixture(scope="module")
def student():
    return maskspace.load("student")


def test_it_answers_what_it_declares(student, photo):
    assert student.answers >= {"embed", "partition", "scales", "propose", "click", "session"}
    assert student.partition(photo, 24).max() == 24
    assert len(student.propose(photo, limit=50)) == 50
    (vectors,) = student.embed(photo).levels.values()
    assert vectors.min() >= 0 and vectors.max() <= 1


def test_scales_are_cuts_at_the_same_heights_for_every_image(student, photo):
    tree = student.hierarchy(photo)
    scales = list(student.scales(photo, counts=()))
    assert len(scales) == len(HEIGHTS)
    numbers = [labels.max() for labels in scales]
    assert numbers == sorted(numbers, reverse=True)
    assert (scales[7] == tree.cut(HEIGHTS[7])).all()


def test_ranks_order_the_proposals(student, photo):
    found = student.propose(photo, limit=200)
    assert (np.diff(found.scores) <= 0).all()
    assert len(np.unique(found.masks.reshape(200, -1), axis=0)) == 200


def test_a_constant_photo_has_constant_features_and_as_many_regions_as_asked_for(student):
    flat = np.full((64, 96, 3), 90, np.uint8)
    (vectors,) = student.embed(flat).levels.values()
    assert np.ptp(vectors, axis=(1, 2)).max() < 1e-4
    assert student.partition(flat, 1024).max() == 1024


def test_a_head_is_found_in_a_photo(student, photo):
    """The face of the astronaut is one region among a few, not cut by what lies behind it."""
    labels = student.partition(photo, 12)
    face = labels[90:120, 110:130]
    share = np.bincount(face.ravel()).max() / face.size
    assert share > 0.8


def test_with_flips_a_mirrored_image_has_the_mirrored_outputs():
    image = np.random.default_rng(0).integers(0, 256, (33, 65, 3), np.uint8)
    model = maskspace.load("student@flips=true")
    seen, mirrored = model._outputs(image), model._outputs(image[:, ::-1].copy())
    for head, output in seen.items():
        torch.testing.assert_close(mirrored[head].flip(-1), output, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("width", [64, 65])
def test_flips_keep_the_sizes_of_the_outputs(width):
    image = np.random.default_rng(0).integers(0, 256, (40, width, 3), np.uint8)
    plain, flipped = (
        maskspace.load("student")._outputs(image),
        maskspace.load("student@flips=true")._outputs(image),
    )
    assert {k: x.shape for k, x in flipped.items()} == {k: x.shape for k, x in plain.items()}


def test_options_of_a_student_are_checked():
    assert maskspace.load("student@regions=64,max_side=96").regions == 64
    with pytest.raises(ValueError, match="unknown option 'flip'"):
        maskspace.load("student@flip=true")
    with pytest.raises(ValueError, match="max_side"):
        maskspace.load("student@max_side=1")
