"""Laws of steadiness: a model that sees only what does not change is steady, bands are counted."""

import json

import numpy as np
import pytest

from maskspace.evaluation.steadiness import (
    CHANGES,
    bands,
    constant_deviation,
    kept_steadiness,
    steadiness,
)
from maskspace.evaluation.truth import Truth
from maskspace.loaded import Segmenter
from maskspace.masks import from_label_map
from maskspace.types import Embedding


def truth_of(labels, key="k"):
    ids, stack = from_label_map(labels)
    image = np.repeat(np.where(labels == 1, 200, 40)[..., None], 3, axis=2).astype(np.uint8)
    return Truth(key=key, image=image, masks=stack, ids=tuple(ids.tolist()), too_small=0,
                 ignore=np.zeros(labels.shape, bool), label_maps=(labels,))  # fmt: skip


@pytest.fixture
def truth():
    labels = np.full((48, 64), 2)
    labels[10:30, 5:30] = 1
    return truth_of(labels)


class Bright(Segmenter):
    """Two regions: what is bright, and the rest."""

    name, ranking, answers = "bright", "nothing", frozenset({"partition", "embed"})

    def partition(self, image, regions):
        return 1 + (image[..., 0] > 120).astype(np.int32)

    def embed(self, image):
        return Embedding({1: image.transpose(2, 0, 1).astype(np.float32) / 255})


class Sides(Bright):
    """Two regions: left and right, whatever is there."""

    def partition(self, image, regions):
        columns = np.arange(image.shape[1]) >= image.shape[1] // 3
        return np.broadcast_to(1 + columns, image.shape[:2]).astype(np.int32)


def test_what_follows_the_photo_is_steady_and_what_does_not_is_not(truth):
    steady = steadiness(Bright(), truth, regions=2, frame=4)
    assert set(steady.agreement) == set(CHANGES) and min(steady.agreement.values()) == 1
    assert steadiness(Sides(), truth, regions=2, frame=4).agreement["mirrored"] < 0.5
    assert steady.milliseconds > 0 and steady.bands == 0


def test_bands_are_regions_wholly_along_the_frame_beyond_the_truths(truth):
    labels = np.full((48, 64), 5)
    labels[:3] = 1
    labels[-4:] = 2
    labels[:, :5] = 3
    assert bands(labels, frame=4) == 2 and bands(labels, frame=5) == 3
    assert bands(np.where(labels == 1, 0, labels), frame=4) == 1  # 0 is no region
    drawn = truth_of(np.where(truth.label_maps[0] == 1, 1, np.minimum(labels, 2) + 1))
    assert steadiness(Bright(), drawn, regions=2, frame=4).bands < 0


def test_a_constant_image_has_the_deviation_of_its_features():
    assert constant_deviation(Bright(), (32, 48)) == 0

    class Framed(Bright):
        def embed(self, image):
            levels = np.zeros((2, 8, 8), np.float32)
            levels[1, 0] = 0.25
            return Embedding({4: levels})

    assert constant_deviation(Framed(), (32, 48)) == 0.25


def test_finished_photos_are_taken_from_the_journal_and_a_cut_line_is_measured_again(
    truth, tmp_path
):
    asked = []

    class Counted(Bright):
        def partition(self, image, regions):
            asked.append(image.shape)
            return super().partition(image, regions)

    other = truth_of(np.where(truth.label_maps[0] == 1, 2, 1), key="other")
    path = tmp_path / "kept" / "steadiness.jsonl"
    first = list(kept_steadiness(Counted(), [truth, other], path, regions=2, frame=4))
    assert len(asked) == 2 * (1 + len(CHANGES))
    assert list(kept_steadiness(Counted(), [truth, other], path, regions=2, frame=4)) == first
    assert len(asked) == 2 * (1 + len(CHANGES))
    path.write_text(path.read_text()[:-10])
    again = list(kept_steadiness(Counted(), [truth, other], path, regions=2, frame=4))
    assert len(asked) == 3 * (1 + len(CHANGES))
    assert [one.agreement for one in again] == [one.agreement for one in first]
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["k", "other"]


def test_a_model_that_does_not_partition_says_why(truth):
    class Silent(Segmenter):
        name, ranking, answers = "silent", "nothing", frozenset()

    found = steadiness(Silent(), truth, regions=2, frame=4)
    assert found.refused.startswith("silent cannot answer partition") and not found.agreement
