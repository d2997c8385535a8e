import json
from functools import partial

from maskspace.training.trainings import COST, Training, train_each


def task(embedding_task):
    return embedding_task


def test_each_is_trained_once_and_says_what_it_cost(embedding_task, optimisation, tmp_path):
    built = []

    def make():
        built.append(1)
        return embedding_task

    training = Training(
        name="rectangles/balls-seed0",
        make_task=make,
        optimisation=optimisation.shortened(2, 2),
        workers=embedding_task.config.workers,
        provenance={"stage": "x"},
    )
    run, out = tmp_path / "run", tmp_path / "out"
    train_each([training], run, out)
    folder = out / training.name
    cost = json.loads((folder / COST).read_text())
    assert cost["milliseconds_a_step"] > 0
    assert cost["peak_bytes"] >= 0
    assert (folder / "model.safetensors").is_file()
    train_each([training], run, out)
    assert len(built) == 1


def test_a_killed_training_goes_on(embedding_task, optimisation, tmp_path):
    """What was trained before is in `run`; only the rest is."""
    base = partial(
        Training,
        name="a",
        make_task=partial(task, embedding_task),
        workers=embedding_task.config.workers,
        provenance={},
    )
    run, out = tmp_path / "run", tmp_path / "out"
    train_each([base(optimisation=optimisation)], run, out)
    whole = (out / "a" / "model.safetensors").read_bytes()
    (out / "a" / COST).unlink()  # killed before it was done
    train_each([base(optimisation=optimisation)], run, out)
    assert (out / "a" / "model.safetensors").read_bytes() == whole
