import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from maskspace.heads import DenseMap, Level, heads_as_options
from maskspace.models import MODELS, load_model, save_model
from maskspace.models.weights import load_trunk

OPTIONS = {"backbone": "b0", "width": 16, "registers": 1}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    model = MODELS["pixel_embedding"](**OPTIONS)
    save_model(model, tmp_path, name="pixel_embedding", options=OPTIONS, provenance={"data": "x"})
    return tmp_path


def test_a_saved_model_answers_as_before(folder):
    torch.manual_seed(0)
    model, image = MODELS["pixel_embedding"](**OPTIONS).eval(), torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_model(folder)(image)["1"], model(image)["1"])


def test_half_precision_weights_load_into_float32(folder, tmp_path):
    model = load_model(folder)
    half = tmp_path / "half"
    save_model(model, half, name="pixel_embedding", options=OPTIONS, provenance={}, half=True)
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(
            load_model(half)(image)["1"], model(image)["1"], atol=1e-2, rtol=0
        )
    size = (half / "model.safetensors").stat().st_size
    assert size < 0.6 * (folder / "model.safetensors").stat().st_size


def test_missing_extra_and_broken_tensors_are_named(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "heads.1.bias"
    save_file({k: v for k, v in tensors.items() if k != name} | {"stray": torch.ones(1)}, path)
    with pytest.raises(ValueError, match=r"missing \['heads.1.bias'\], extra \['stray'\]"):
        load_model(folder)
    save_file(tensors | {name: torch.full((3,), float("nan"))}, path)
    with pytest.raises(ValueError, match=r"not finite in \['heads.1.bias'\]"):
        load_model(folder)


def test_a_bad_folder_is_told_in_one_line(folder, tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        load_model(tmp_path / "nowhere")
    (folder / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        load_model(folder)
    (folder / "model.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        load_model(folder)
    (folder / "model.json").write_text(json.dumps({"name": "resnet", "options": {}}))
    with pytest.raises(ValueError, match="model 'resnet' is unknown"):
        load_model(folder)


PYRAMID = {"backbone": "efficientnet_lite0", "blocks": 12, "width": 8}


@pytest.fixture
def pyramid(tmp_path):
    torch.manual_seed(0)
    model = MODELS["feature_pyramid"](**PYRAMID)
    save_model(model, tmp_path, name="feature_pyramid", options=PYRAMID, provenance={})
    return tmp_path


def test_a_trunk_is_taken_and_heads_that_do_not_fit_stay_fresh(pyramid):
    torch.manual_seed(1)
    heads = heads_as_options({"2": Level(channels=5, stride=2), "mass": DenseMap(channels=1)})
    model = MODELS["feature_pyramid"](**PYRAMID, heads=heads)
    fresh = {k: v.clone() for k, v in model.state_dict().items() if k.startswith("heads.")}
    load_trunk(model, pyramid)
    held = load_file(pyramid / "model.safetensors")
    for key, value in model.state_dict().items():
        assert torch.equal(value, fresh[key] if key in fresh else held[key]), key


def test_a_trunk_of_another_architecture_is_refused(pyramid):
    wider = MODELS["feature_pyramid"](**(PYRAMID | {"width": 16}))
    with pytest.raises(ValueError, match="not weights of this model"):
        load_trunk(wider, pyramid)
