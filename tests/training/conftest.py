"""A small world to train in: a few generated rectangles and a clicker of a few thousand weights."""

from dataclasses import replace
from pathlib import Path

import pytest

from maskspace.config import Choice
from maskspace.data import READERS
from maskspace.data.crops import Crops
from maskspace.data.stream import Mixture
from maskspace.training.click_task import ClickTask
from maskspace.training.config import (
    ClickerConfig,
    DistillConfig,
    Optimisation,
    Workers,
)
from maskspace.training.embedding_task import EmbeddingTask

SMALL_CLICKER = {
    "size": 32,
    "patch": 8,
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "global_every": 1,
    "stem": "convolutional",
    "fusion_depth": 1,
    "neck_dims": (8, 8, 8, 8),
    "head_dim": 8,
    "click_radius": 2.0,
}

CROPS = Crops(
    size=64,
    placement="square",
    augment=True,
    min_scale=0.6,
    max_scale=1.0,
    turns=True,
    shuffle_channels=True,
    contrast=0.2,
    brightness=0.0,
)


@pytest.fixture
def optimisation():
    return Optimisation(
        steps=6,
        batch=4,
        accumulate=1,
        optimiser="adamw",
        betas=(0.9, 0.98),
        learning_rate=1e-3,
        schedule=Choice(name="cosine", options={"final_share": 0.1}),
        warmup=2,
        layer_decay=1.0,
        weight_decay=0.01,
        clip_norm=1.0,
        ema=0.0,
        precision="float32",
        compile=False,
        seed=0,
        validate_every=2,
        early_stop=None,
        checkpoint_seconds=1e9,
    )


@pytest.fixture(scope="session")
def rectangles():
    source = READERS["rectangles"]("", seed=0, limit=8)
    return Mixture(datasets={"rectangles": source}, weights={"rectangles": 1.0})


@pytest.fixture
def click_config(optimisation):
    return ClickerConfig(
        data={"rectangles": 1.0},
        model=Choice(name="click_vit", options=SMALL_CLICKER),
        losses={"normalised_focal": 1.0, "soft_iou": 1.0},
        initial=None,
        backbone=None,
        crops=replace(CROPS, size=32),
        clicks=Choice(name="posneg", options={"least_pixels": 8}),
        clicks_per_image=2,
        rounds=0,
        levels=1,
        pseudo_share=0.0,
        pseudo_stability=0.9,
        jitter=None,
        optimisation=optimisation,
        validation_images=3,
        workers=Workers(number=1, threads=1, loaders=0, gpu=False),
    )


@pytest.fixture
def click_task(click_config, rectangles):
    return ClickTask(config=click_config, train=rectangles, held_out=rectangles)


@pytest.fixture
def distill_config(optimisation):
    return DistillConfig(
        data={"rectangles": 1.0},
        unlabelled=(),
        model=Choice(name="pixel_embedding", options={"width": 16, "registers": 1}),
        backbone=None,
        crops=CROPS,
        teacher_share=0.5,
        teacher_weight=1.0,
        confidence="none",
        min_proposal_score=0.5,
        max_instances=64,
        jitter=None,
        optimisation=optimisation,
        validation_images=3,
        workers=Workers(number=1, threads=1, loaders=0, gpu=False),
    )


@pytest.fixture
def embedding_task(distill_config, rectangles):
    return EmbeddingTask(
        config=distill_config,
        objective=Choice(
            name="balls", options={"radius": 0.1, "level_weights": {"1": 1.0, "4": 2.0}}
        ),
        train=rectangles,
        held_out=rectangles,
    )


@pytest.fixture
def run(tmp_path) -> Path:
    return tmp_path / "run"
