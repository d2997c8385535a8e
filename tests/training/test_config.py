from dataclasses import asdict
from pathlib import Path

import pytest

from maskspace.config import build_section
from maskspace.training.config import (
    ClickerConfig,
    DistillConfig,
    Optimisation,
    OverfitConfig,
)
from workflows import profiles

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 0),
        ("batch", 0),
        ("accumulate", 0),
        ("accumulate", 3),
        ("learning_rate", 0.0),
        ("schedule", {"name": "linear", "options": {}}),
        ("warmup", 6),
        ("layer_decay", 0.0),
        ("ema", 1.0),
        ("betas", [0.9, 1.0]),
        ("optimiser", "lion"),
        ("early_stop", {"monitor": "val_loss", "mode": "min", "patience": 0}),
    ],
)
def test_impossible_recipes_are_refused_with_their_key(optimisation, key, value):
    with pytest.raises(ValueError, match=key):
        build_section(Optimisation, asdict(optimisation) | {key: value}, place="params.yaml: x")


def test_a_wrong_type_deep_inside_is_told_with_its_path(click_config):
    broken = asdict(click_config)
    broken["optimisation"]["steps"] = "many"
    with pytest.raises(ValueError, match=r"params.yaml: clicker.optimisation.steps: .*'many'"):
        build_section(ClickerConfig, broken, place="params.yaml: clicker")


def test_a_recipe_can_be_shortened_below_its_warmup(optimisation):
    assert optimisation.shortened(1, 1).warmup == 0


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml")))
def test_the_recipes_of_every_profile_are_whole(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    params = profiles.profile_params(name)
    sections = {"clicker": ClickerConfig, "overfit": OverfitConfig, "distill": DistillConfig}
    for section, kind in sections.items():
        built = build_section(kind, params[section], place=section)
        assert built.optimisation.rate(0) > 0
