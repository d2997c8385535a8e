"""What can be wrong with weights, each told in one line before any image is asked about."""

import builtins
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from maskspace.peers.pretrained import pretrained
from maskspace.segmenter.loading import load

SAM = (("sam", "SamModel"),)


@pytest.fixture
def spoilt(published, tmp_path) -> Path:
    """Return a folder of our own with SAM, to be spoilt."""
    return Path(shutil.copytree(published["sam"], tmp_path / "sam"))


def refusal(weights: object, name: str = "sam") -> str:
    with pytest.raises(ValueError) as refused:
        load(f"{name}@weights={weights}")
    told = str(refused.value)
    assert told.startswith(f"{name}@weights={weights}: ") and "\n" not in told
    return told


def test_the_same_weights_are_read_once_in_single_precision(published):
    model = pretrained(SAM, str(published["sam"]), "cpu")
    assert model is pretrained(SAM, str(published["sam"]), "cpu")
    assert not model.training
    for weight in model.parameters():
        assert weight.dtype == torch.float32 and not weight.requires_grad


def test_a_folder_that_is_not_there_or_holds_nothing_is_told(tmp_path):
    assert "is no folder, nor OWNER/NAME on the hub" in refusal(tmp_path / "nothing")
    assert "has no config.json" in refusal(tmp_path)


@pytest.mark.parametrize("other", ["sam-hq", "sam2", "dinov2"])
def test_weights_of_another_network_are_told(other, published):
    assert f"of kind '{other.replace('-', '_')}', not sam" in refusal(published[other])
    assert "of kind 'sam', not" in refusal(published["sam"], other)


def test_pickled_weights_are_not_read(spoilt):
    weights = spoilt / "model.safetensors"
    weights.rename(spoilt / "pytorch_model.bin")
    assert "pickled weights only (pytorch_model.bin)" in refusal(spoilt)
    (spoilt / "pytorch_model.bin").unlink()
    assert "has no model.safetensors" in refusal(spoilt)


def test_damaged_files_are_told(spoilt):
    weights = spoilt / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert "the weights cannot be read" in refusal(spoilt)
    weights.write_bytes(whole)
    config = json.loads((spoilt / "config.json").read_text())
    config["mask_decoder_config"]["mlp_dim"] = 48
    (spoilt / "config.json").write_text(json.dumps(config))
    assert "the weights cannot be read" in refusal(spoilt)
    (spoilt / "config.json").write_text("{")
    assert "no config.json can be read" in refusal(spoilt)


def test_weights_that_are_not_all_there_are_not_filled_with_random_numbers(spoilt):
    from safetensors.torch import load_file, save_file

    weights = load_file(spoilt / "model.safetensors")
    del weights["mask_decoder.iou_token.weight"]
    save_file(weights, spoilt / "model.safetensors", metadata={"format": "pt"})
    assert "1 of the network's weights are not in the file" in refusal(spoilt)


def test_an_option_without_which_nothing_can_be_read_is_asked_for():
    for name in ("sam", "sam-hq", "sam2", "dinov2"):
        with pytest.raises(ValueError, match=f"give {name}@weights=...; these have no default"):
            load(name)


def test_a_device_that_is_not_there_is_told(published):
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        load(f"sam@weights={published['sam']},device=abacus")
    with pytest.raises(ValueError, match="device 'abacus' cannot be used"):
        load(f"dinov2@weights={published['dinov2']}", device="abacus")


def test_without_transformers_the_extra_is_named(monkeypatch, tmp_path):
    really = builtins.__import__

    def without_transformers(name, *arguments, **options):
        if name == "transformers":
            raise ImportError(name)
        return really(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_transformers)
    monkeypatch.delitem(sys.modules, "transformers", raising=False)
    assert "pip install maskspace[peers]" in refusal(tmp_path)


def test_transformers_is_not_imported_before_it_is_asked_for():
    import subprocess

    code = (
        "import sys, maskspace\nmaskspace.load('felzenszwalb')\n"
        "assert 'transformers' not in sys.modules, 'slow import'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
