"""Partitions in the harness: the truth covers itself, scales are pooled, refusals are kept."""

from dataclasses import replace

import numpy as np
import pytest

from maskspace.data.annotations import annotate
from maskspace.data.dense import dense
from maskspace.evaluation import evaluate_models
from maskspace.evaluation.asking import Asked
from maskspace.evaluation.config import PROTOCOLS
from maskspace.evaluation.measures.regions import measure_regions
from maskspace.evaluation.partitions import ask_partitions
from maskspace.evaluation.truth import read_truth
from maskspace.loaded import Segmenter
from maskspace.metrics.hierarchy import region_scores, region_summary
from maskspace.segmenter.loading import load
from maskspace.types import Sample

COVERINGS = ("covering_ods", "covering_ois", "covering_best")


class Annotated(Segmenter):
    """Has one partition a scale: the image in one piece, and the map of each annotator."""

    name, ranking, answers = "annotated", "nothing", frozenset({"scales"})

    def __init__(self, truths):
        self.maps = {truth.image.tobytes(): truth.label_maps for truth in truths}

    def scales(self, image, counts):
        whole = np.ones(image.shape[:2], np.int32)
        yield whole
        for labels in self.maps[image.tobytes()]:
            yield (labels + 1).astype(np.int32)


@pytest.fixture
def truths(samples):
    return [read_truth(sample, min_area=64) for sample in samples]


def scored(model, truths):
    """Return the numbers of a model's partitions over the truths."""
    asked = Asked()
    (measure,) = measure_regions(PROTOCOLS["maskspace"])
    found = []
    for truth in truths:
        parts = ask_partitions(model, truth, [measure], counts=(1, 4), asked=asked)
        found.append(measure.of_image(parts["regions"], truth))
    assert not asked.not_answered and asked.seconds > 0
    return {figure.name: figure.of_dataset(found) for figure in measure.figures}


def test_an_annotators_own_map_covers_all_that_it_labels(truths):
    found = scored(Annotated(truths), truths)
    assert all(found[name] == pytest.approx(1) for name in COVERINGS)
    assert found["rand_ods"] == pytest.approx(1)
    assert found["information_ois"] == pytest.approx(0, abs=1e-9)


def test_a_model_in_the_harness_has_the_scores_of_its_partitions(truths):
    model = load("slic-merging@superpixels=60")
    found = scored(model, truths)
    expected = []
    for truth in truths:
        tree = model.hierarchy(truth.image)
        maps = [tree.partition(count) for count in (1, 4)]
        expected.append(region_scores(maps, truth.label_maps))
    summary = region_summary(expected)
    for name, value in found.items():
        assert value == pytest.approx(getattr(summary, name))
    assert found["covering_ods"] <= found["covering_ois"] <= found["covering_best"]


def partition(sample):
    """Return a sample whose background is annotated, too."""
    masks = dense(sample).masks
    rest = ~masks.any(axis=0, keepdims=True)
    return replace(sample, annotations=annotate(np.concatenate([masks, rest])))


def test_partial_truth_has_no_covering_and_the_table_says_why(samples, config, tmp_path):
    models = {"felzenszwalb": load("felzenszwalb")}
    few = replace(config, limit=2)
    whole = [partition(samples[0]), samples[1]]
    metrics = evaluate_models({"d": samples, "mixed": whole}, models, tmp_path, config=few)
    assert not any("covering_ods" in found["felzenszwalb"] for found in metrics.values())
    table = (tmp_path / "table.txt").read_text()
    assert "d: no regions: 2 of 2 images: masks leave" in table
    assert "mixed: no regions: 1 of 2 images: masks leave" in table
    assert "unlabelled" in (tmp_path / "report.html").read_text()


def test_scales_that_do_not_nest_are_measured_and_what_has_none_is_said(samples, config, tmp_path):
    models = {name: load(name) for name in ("felzenszwalb", "flood-fill")}
    few = replace(config, limit=2)
    whole = [partition(sample) for sample in samples[:2]]
    metrics = evaluate_models({"d": whole}, models, tmp_path, config=few)["d"]
    assert 0 < metrics["felzenszwalb"]["covering_ods"] <= metrics["felzenszwalb"]["covering_best"]
    assert "covering_ods" not in metrics["flood-fill"]
    assert "hierarchy" in metrics["flood-fill"]["not_answered"]["regions"]
    assert "cover ODS" in (tmp_path / "table.txt").read_text()


def test_without_numbers_of_regions_nothing_is_asked(truths):
    asked = Asked()
    config = replace(PROTOCOLS["maskspace"], region_counts=())
    assert not list(measure_regions(config))
    assert ask_partitions(load("flood-fill"), truths[0], [], counts=(), asked=asked) is None
    assert not asked.not_answered


def test_every_annotator_has_a_map_with_masks_of_every_size(samples):
    sample: Sample = samples[0]
    layered = replace(
        sample,
        annotations=tuple(
            replace(one, layer=index % 2, parent=None)
            for index, one in enumerate(sample.annotations)
        ),
    )
    whole, none = (read_truth(layered, min_area=area) for area in (1, 10**9))
    assert len(whole.label_maps) == 2 and len(none.masks) == 0
    for first, second in zip(whole.label_maps, none.label_maps, strict=True):
        assert first.any() and (first == second).all()
