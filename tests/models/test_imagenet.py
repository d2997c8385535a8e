import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from maskspace.models.imagenet import load_imagenet
from maskspace.models.pixel_embedding import build_pixel_embedding


@pytest.fixture
def backbone():
    return build_pixel_embedding(width=8, registers=1).backbone


@pytest.fixture
def weights(backbone):
    generator = torch.Generator().manual_seed(0)
    return {
        key: torch.rand(value.shape, generator=generator).to(value.dtype)
        for key, value in backbone.state_dict().items()
    }


@pytest.mark.parametrize("form", ["kornia", "state_dict", "bare", "safetensors"])
def test_weights_are_taken_in_every_form(form, backbone, weights, tmp_path):
    path = tmp_path / ("b0.safetensors" if form == "safetensors" else "b0-r224.pt")
    classifier = {f"backbone.{k}": v for k, v in weights.items()} | {"head.bias": torch.ones(3)}
    if form == "safetensors":
        save_file(weights, path)
    else:
        forms = {"kornia": classifier, "state_dict": {"state_dict": classifier}, "bare": weights}
        torch.save(forms[form], path)
    load_imagenet(backbone, path)
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, weights[key]), key


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/never-made",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such file"),
        (b"not weights", "cannot be read"),
        ([1, 2], "expected tensors"),
        (Evil(), "cannot be read"),
        ("other", "missing"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(content, complaint, backbone, tmp_path):
    path = tmp_path / "b0-r224.pt"
    if content == "other":
        torch.save(nn.Linear(2, 2).state_dict(), path)
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=complaint) as told:
        load_imagenet(backbone, path)
    assert "\n" not in str(told.value)
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
