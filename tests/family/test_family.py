"""A family with queries, overlapping masks and classes is three files and a table line each."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from maskspace.cli import main
from maskspace.config import Choice
from maskspace.data.annotations import Coded, annotate_coded
from maskspace.data.crops import Crops
from maskspace.data.source import Source
from maskspace.data.stream import Mixture
from maskspace.evaluation import evaluate_models
from maskspace.evaluation.config import OWN_PROTOCOL, EvaluateConfig
from maskspace.masks import encode
from maskspace.models import MODELS
from maskspace.objectives import OBJECTIVES
from maskspace.partition import DECODERS
from maskspace.segmenter.loading import load
from maskspace.training.config import DistillConfig, Optimisation, Workers
from maskspace.training.embedding_task import EmbeddingTask
from maskspace.training.export import export_training
from maskspace.training.loop import fit
from maskspace.types import Category, Sample
from tests.family.classified_masks import classified_masks
from tests.family.mask_classification import mask_classification
from tests.family.query_network import build_query_network

CATEGORIES = (Category(id=3, name="square"), Category(id=7, name="disk"))
SIDE = 64


@pytest.fixture(autouse=True)
def table_lines(monkeypatch):
    """The three lines, as docs/extending.md enters them."""
    monkeypatch.setitem(MODELS, "query_network", build_query_network)
    monkeypatch.setitem(OBJECTIVES, "mask_classification", mask_classification)
    monkeypatch.setitem(DECODERS, "classified_masks", classified_masks)


def picture(index):
    """A disk on a square: the square's mask goes on below the disk."""
    rng = np.random.default_rng(index)
    y, x = np.mgrid[:SIDE, :SIDE]
    top, left = rng.integers(4, 20, 2)
    square = (y >= top) & (y < top + 32) & (x >= left) & (x < left + 32)
    row, column = top + rng.integers(8, 24), left + rng.integers(8, 24)
    disk = (y - row) ** 2 + (x - column) ** 2 < 12**2
    pixels = rng.integers(0, 30, (SIDE, SIDE, 3)).astype(np.uint8)
    pixels[square] += np.array([180, 40, 40], np.uint8)
    pixels[disk] = np.array([40, 200, 60], np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    coded = [
        Coded(counts=counts, category=category.id)
        for counts, category in zip(encode(np.stack([square, disk])), CATEGORIES, strict=True)
    ]
    return Sample(
        key=f"shape-{index}",
        dataset="shapes",
        image=file.getvalue(),
        extension="png",
        size_hw=(SIDE, SIDE),
        annotations=annotate_coded(coded, (SIDE, SIDE)),
    )


@pytest.fixture(scope="module")
def shapes():
    keys = tuple(f"shape-{index}" for index in range(8))
    return Source(keys=keys, splits=(None,) * 8, read=picture, categories=CATEGORIES)


@pytest.fixture
def task(shapes):
    mixture = Mixture(datasets={"shapes": shapes}, weights={"shapes": 1.0})
    optimisation = Optimisation(
        steps=10, batch=4, accumulate=1, optimiser="adamw", betas=(0.9, 0.98), learning_rate=3e-3,
        schedule=Choice(name="cosine", options={"final_share": 0.1}), warmup=2, layer_decay=1.0,
        weight_decay=0.01, clip_norm=1.0, ema=0.0, precision="float32", compile=False, seed=0,
        validate_every=5, early_stop=None, checkpoint_seconds=1e9,
    )  # fmt: skip
    crops = Crops(
        size=SIDE, placement="square", augment=False, min_scale=1.0, max_scale=1.0, turns=False,
        shuffle_channels=False, contrast=0.0, brightness=0.0,
    )  # fmt: skip
    config = DistillConfig(
        data={"shapes": 1.0}, unlabelled=(), model=Choice(name="query_network", options={}),
        backbone=None, crops=crops, teacher_share=0.0, teacher_weight=1.0, confidence="none",
        min_proposal_score=0.0, max_instances=10, jitter=None, optimisation=optimisation,
        validation_images=4, workers=Workers(number=1, threads=1, loaders=0, gpu=False),
    )  # fmt: skip
    objective = Choice(name="mask_classification", options={"classes": 2})
    return EmbeddingTask(config=config, objective=objective, train=mixture, held_out=mixture)


def test_it_is_trained_saved_loaded_and_evaluated(task, shapes, tmp_path):
    fit(task, task.config.optimisation, tmp_path / "run")
    history = export_training(task, tmp_path / "run", tmp_path / "toy", provenance={})
    assert history[-1]["step"] == 10
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    model = load(str(tmp_path / "toy"))
    assert model.answers == {"propose", "classes"}
    assert model.categories == CATEGORIES
    found = model.propose(shapes[0].image, limit=5)
    assert found.size_hw == (SIDE, SIDE) and found.classes is not None
    assert set(found.classes.tolist()) <= {0, 1}
    with pytest.raises(ValueError, match="toy cannot answer hierarchy; it answers propose"):
        model.hierarchy(shapes[0].image)
    (tmp_path / "shape.png").write_bytes(shapes[0].image)
    place = ["--model", str(tmp_path / "toy"), "--out", str(tmp_path / "written")]
    arguments = [str(tmp_path / "shape.png"), "--proposals", "5", "--format", "coco", *place]
    assert main(["segment", *arguments]) == 0
    written = json.loads((tmp_path / "written/shape.json").read_text())
    assert [(one["id"], one["name"]) for one in written["categories"]] == [
        (3, "square"),
        (7, "disk"),
        (8, "region"),
    ]
    assert {one["category_id"] for one in written["annotations"]} <= {3, 7}
    config = EvaluateConfig(
        limit=None, min_area=16, proposal_counts=(1, 5), recall_counts=(1, 10), region_counts=(2,),
        interactive=replace(OWN_PROTOCOL, max_clicks=2, cases=1), collapse_std=1e-3,
        gallery_images=1, max_left_out=0.0,
    )  # fmt: skip
    metrics = evaluate_models({"shapes": shapes}, {"toy": model}, tmp_path / "out", config=config)
    row = metrics["shapes"]["toy"]
    assert row["images"] == 8
    assert 0 <= row["mean_best_iou_5"] <= 1
    refused = " ".join(row["not_answered"].values())
    assert "cannot answer embed" in refused and "cannot answer propose" not in refused


def test_it_learns_overlapping_masks_and_their_classes(task):
    (batch,) = task.batches([(0, range(4))])
    truth = batch.targets.instances(0)
    assert truth.classes.tolist() == [0, 1]
    assert (truth.masks[0] & truth.masks[1]).any()


def test_another_number_of_classes_than_the_data_have_is_one_line(task):
    wrong = replace(task, objective=Choice(name="mask_classification", options={"classes": 5}))
    with pytest.raises(ValueError, match="tells 5 classes apart, the training data have 2"):
        _ = wrong.model
