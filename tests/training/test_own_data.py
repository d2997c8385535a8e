import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskspace.config import Choice
from maskspace.models import load_model
from maskspace.training import own_data
from maskspace.training.config import DistillConfig
from maskspace.training.embedding_task import make_embedding_task
from maskspace.training.finetune import Dataset
from maskspace.training.own_data import Facts, OwnTraining, own_recipe, train_student
from maskspace.training.trainings import Training, train_each

SMALL = Choice(name="pixel_embedding", options={"width": 8, "registers": 1})
OBJECTIVE = Choice(name="foreground", options={})
ASKED = OwnTraining(objective=OBJECTIVE, start="fresh", steps=2, size=33, batch=2)


@pytest.fixture(scope="module", autouse=True)
def small():
    """Fresh students are small ones here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_data, "_architecture", lambda start: SMALL)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> dict[str, Dataset]:
    folder = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for index in range(6):
        labels = np.zeros((40, 48), np.uint8)
        labels[4 + index : 30, 6:30] = 1
        image = np.where(labels[..., None], (200, 30, 30), (20, 90, 160)).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        Image.fromarray(labels).save(folder / "labels" / f"{index}.png")
    return {"folder": Dataset(kind="folder", path=str(folder))}


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "out"
    train_student(ASKED, images, out)
    return out


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_the_command_trains_what_the_stage_trains(trained, tmp_path):
    """Same shards, same settings: the same weights, bit for bit."""
    config = own_recipe(ASKED, Facts(images=5, side=40), data={"folder": 1.0})
    assert isinstance(config, DistillConfig)
    training = Training(
        name="stage",
        make_task=lambda: make_embedding_task(OBJECTIVE, config=config, shards=trained / "shards"),
        optimisation=config.optimisation,
        workers=config.workers,
        provenance={},
    )
    train_each([training], tmp_path / "run", tmp_path)
    assert weights(trained) == weights(tmp_path / "stage")


def test_a_killed_training_goes_on_and_ends_as_an_unbroken_one(
    images, trained, tmp_path, monkeypatch
):
    fit = own_data.fit

    def killed(task, optimisation, run, *, on_step, **rest):
        def step(done):
            on_step(done)
            if done == 2:
                raise KeyboardInterrupt

        return fit(task, optimisation, run, on_step=step, **rest)

    monkeypatch.setattr(own_data, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train_student(ASKED, images, tmp_path / "out")
    assert not (tmp_path / "out" / "model.json").exists()
    monkeypatch.setattr(own_data, "fit", fit)
    history = train_student(ASKED, images, tmp_path / "out")
    assert [row["step"] for row in history] == [1, 2]
    assert weights(tmp_path / "out") == weights(trained)


def test_another_training_in_the_folder_is_refused_in_one_line(images, trained):
    before = weights(trained)
    other = Choice(name="balls", options={})
    for changed, told in (
        (replace(ASKED, steps=5), "optimisation.steps 2, now 5"),
        (replace(ASKED, seed=1), "optimisation.seed 0, now 1"),
        (replace(ASKED, unlabelled=True), "unlabelled"),
        (replace(ASKED, objective=other), "objective.name foreground, now balls"),
    ):
        with pytest.raises(ValueError, match=told) as error:
            train_student(changed, images, trained)
        assert "\n" not in str(error.value)
    touched = Path(images["folder"].path) / "labels" / "0.png"
    times = touched.stat()
    os.utime(touched, (0, 0))
    with pytest.raises(ValueError, match=r"was begun with folder\.files"):
        train_student(ASKED, images, trained)
    os.utime(touched, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert weights(trained) == before


def test_a_model_that_is_there_is_not_replaced(images, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "model.json").write_text("{}")
    with pytest.raises(ValueError, match="holds a model already"):
        train_student(ASKED, images, tmp_path / "b")


def test_bad_data_leave_nothing_behind(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        train_student(ASKED, {"folder": Dataset(kind="folder", path="/nowhere")}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shards_are_read_where_they_lie(trained, tmp_path):
    place = trained / "shards" / "folder"
    train_student(ASKED, {"folder": Dataset(kind="shards", path=str(place))}, tmp_path / "out")
    assert not (tmp_path / "out" / "shards").exists()
    assert weights(trained) == weights(tmp_path / "out")
    said = json.loads((tmp_path / "out" / "model.json").read_text())["provenance"]
    assert said["data"] == {"folder": f"shards:{place}"} and said["steps"] == 2


def test_a_student_goes_on_from_its_weights(images, trained, tmp_path):
    assert own_data.trained_objective(str(trained)) == OBJECTIVE
    asked = replace(ASKED, start=str(trained), steps=1, learning_rate=1e-12)
    train_student(asked, images, tmp_path / "out")
    after = load_model(tmp_path / "out").state_dict()
    for name, value in load_model(trained).state_dict().items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(value, after[name], atol=1e-6, rtol=1e-4)


def test_crops_show_objects_at_about_their_own_size():
    for side in (20, 64, 256, 1000):
        crops = own_recipe(replace(ASKED, size=None), Facts(9, side), data={"a": 1.0}).crops
        assert crops.size <= 193 and crops.size % 32 == 1
        assert crops.min_scale * side <= crops.size <= 1.4 * max(side, 33)
