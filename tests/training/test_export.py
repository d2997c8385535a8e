import json
from dataclasses import replace

import torch

from maskspace.models import load_model
from maskspace.training.config import EarlyStop
from maskspace.training.export import export_training
from maskspace.training.loop import fit


def test_what_is_exported_answers_as_what_was_trained(embedding_task, optimisation, run, tmp_path):
    trained = fit(embedding_task, optimisation, run)
    out = tmp_path / "out"
    history = export_training(embedding_task, run, out, provenance={"data": "x"})
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_model(out)(image)["1"], trained(image)["1"])
    assert [row["step"] for row in history] == [2, 4, 6]
    assert (run / "pictures" / "history.png").stat().st_size > 0
    written = {path.name for path in out.iterdir()}
    assert {"history.jsonl", "model.json", "model.safetensors", "shown.npz"} <= written
    assert not list(out.rglob("*.png"))


def test_the_best_weights_are_exported_with_the_steps_they_have_seen(
    embedding_task, optimisation, run, tmp_path
):
    rule = EarlyStop(monitor="val_loss", mode="max", patience=1)  # learning makes it worse
    trained = fit(embedding_task, replace(optimisation, early_stop=rule), run)
    out = tmp_path / "out"
    history = export_training(embedding_task, run, out, provenance={})
    assert [row["step"] for row in history] == [2, 4]
    assert json.loads((out / "model.json").read_text())["provenance"]["steps"] == 2
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_model(out)(image)["1"], trained(image)["1"])
