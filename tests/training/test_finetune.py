from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from maskspace.models import load_model
from maskspace.training.finetune import Dataset, finetune, make_finetune_task, read_dataset, recipe


def folder(root, number, *, splits=()):
    """A dataset of kind `folder`: images beside label maps."""
    for index in range(number):
        part = root / splits[index] if splits else root
        for name in ("images", "labels"):
            (part / name).mkdir(parents=True, exist_ok=True)
        labels = np.zeros((48, 40), np.uint8)
        labels[4:30, 6:30] = 1
        image = np.where(labels[..., None], (200, 30, 30), (20, 90, 160)).astype(np.uint8)
        Image.fromarray(image).save(part / "images" / f"{index:03d}.png")
        Image.fromarray(labels).save(part / "labels" / f"{index:03d}.png")
    return Dataset(kind="folder", path=str(root))


def test_a_source_without_splits_keeps_some_images_for_validation(click_config, tmp_path):
    task = make_finetune_task(click_config, {"folder": folder(tmp_path, 24)})
    (train,), (held,) = task.train.datasets.values(), task.held_out.datasets.values()
    keys = [{one.key for one in part} for part in (train, held)]
    assert keys[0] and keys[1] and not keys[0] & keys[1] and len(keys[0] | keys[1]) == 24


def test_too_few_images_are_told(click_config, tmp_path):
    with pytest.raises(ValueError, match="no sample for val; give more images"):
        make_finetune_task(click_config, {"folder": folder(tmp_path, 1)})


def test_a_dataset_says_what_its_reader_guessed(tmp_path):
    data = folder(tmp_path, 2)
    for path in (tmp_path / "labels").iterdir():
        path.rename(path.with_name(f"{path.stem}_label.png"))
    assert any("_label" in note for note in read_dataset(data).notes)


def test_a_recipe_changes_what_is_asked_and_nothing_else(click_config):
    data = {"folder": 1.0}
    assert recipe(click_config, data=click_config.data) == click_config
    changed = recipe(click_config, data=data, steps=3, learning_rate=0.5, workers=2)
    assert changed.optimisation.steps == 3 and changed.optimisation.learning_rate == 0.5
    assert changed.workers.number == 2 and changed.data == data
    assert replace(changed, optimisation=click_config.optimisation).clicks == click_config.clicks
    assert recipe(click_config, data=data, regime="one").clicks.name == "one"


@pytest.mark.slow
def test_a_finetuned_clicker_is_another_one_of_the_same_architecture(
    click_config, click_task, tmp_path, shared_ray
):
    from maskspace import parallel

    before = click_task.build()
    data = {"folder": folder(tmp_path / "data", 24)}
    with parallel.connect():
        history = finetune(before, data, tmp_path / "out", config=click_config)
    after = load_model(tmp_path / "out")
    assert history[-1]["step"] == click_config.optimisation.steps
    pairs = list(zip(before.state_dict().values(), after.state_dict().values(), strict=True))
    assert all(one.shape == other.shape for one, other in pairs)
    assert any(not torch.equal(one, other) for one, other in pairs)
