import pytest
import torch

from maskspace.heads import DenseMap, Level, heads_as_options
from maskspace.models import MODELS, load_model, save_model

HEADS = {
    "boundary": DenseMap(channels=1, stride=1),
    "boundary/8": DenseMap(channels=1, stride=8),
    "2": Level(channels=6, stride=2, activation="sigmoid"),
}
OPTIONS = {
    "backbone": "efficientnet_lite0",
    "width": 8,
    "heads": heads_as_options(HEADS),
}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return MODELS["feature_pyramid"](**OPTIONS).eval()


@pytest.mark.parametrize("size", [(16, 16), (33, 65), (64, 47), (100, 33)])
def test_heads_have_the_sizes_of_their_strides(network, size):
    with torch.no_grad():
        outputs = network(torch.rand(2, 3, *size))
    for name, head in HEADS.items():
        expected = tuple(-(-side // head.stride) for side in size)
        assert outputs[name].shape == (2, head.channels, *expected)


@pytest.mark.parametrize("size", [(33, 65), (50, 47)])
def test_a_constant_image_has_constant_features(network, size):
    with torch.no_grad():
        outputs = network(torch.full((1, 3, *size), 0.7))
    for name, x in outputs.items():
        assert (x.amax((2, 3)) - x.amin((2, 3))).max() <= 1e-5, name


def test_a_shift_by_the_coarsest_stride_shifts_the_features():
    """Cell i stands for pixel s i: inside, moving the image by 32 pixels moves every map by it."""
    torch.manual_seed(1)
    network = MODELS["feature_pyramid"](**OPTIONS).double().eval()
    image = torch.full((1, 3, 1025, 33), 0.5, dtype=torch.double)
    image[:, :, 480:500] = torch.rand(1, 3, 20, 33, dtype=torch.double)
    moved = image.roll(32, dims=2)
    with torch.no_grad():
        outputs, others = network(image), network(moved)
    for name, head in HEADS.items():
        step = 32 // head.stride
        torch.testing.assert_close(others[name][:, :, step:], outputs[name][:, :, :-step])


def test_a_saved_student_is_loaded_again(network, tmp_path):
    save_model(network, tmp_path, name="feature_pyramid", options=OPTIONS, provenance={})
    image = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        expected, found = network(image), load_model(tmp_path)(image)
    assert all(torch.equal(expected[name], found[name]) for name in HEADS)


def test_an_unknown_backbone_is_told():
    with pytest.raises(ValueError, match="efficientnet_lite0"):
        MODELS["feature_pyramid"](backbone="resnet")
