import pytest
import torch

from maskspace.models.pixel_embedding import build_pixel_embedding


@pytest.fixture(scope="module")
def student():
    torch.manual_seed(0)
    return build_pixel_embedding(width=16, registers=1).eval()


@pytest.mark.parametrize("size_hw", [(64, 64), (17, 50), (1, 33)])
def test_levels_cover_the_image_with_colours(student, size_hw):
    height, width = size_hw
    with torch.inference_mode():
        levels = student(torch.rand(2, 3, height, width))
    for stride, channels in ((1, 3), (2, 12), (4, 48)):
        assert levels[stride].shape == (2, channels, -(-height // stride), -(-width // stride))
        assert levels[stride].min() >= 0
        assert levels[stride].max() <= 1


def test_every_level_holds_as_many_values(student):
    with torch.inference_mode():
        levels = student(torch.rand(1, 3, 64, 32))
    assert {level.numel() for level in levels.values()} == {3 * 64 * 32}


def test_padding_is_seen_by_nobody(student):
    image = torch.rand(1, 3, 40, 40)
    padded = torch.nn.functional.pad(image, (0, 24, 0, 24), mode="replicate")
    with torch.inference_mode():
        inside = student(padded)[1][..., :40, :40]
        torch.testing.assert_close(student(image)[1], inside)


def test_gradients_reach_every_parameter():
    model = build_pixel_embedding(width=16, registers=1)
    sum(level.square().mean() for level in model(torch.rand(2, 3, 64, 64)).values()).backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None]
    assert dead == []


def test_one_colour_gives_a_brightness(student):
    del student
    levels = build_pixel_embedding(width=16, registers=2, colours=1).eval()(
        torch.rand(1, 3, 32, 32)
    )
    assert [levels[s].shape[1] for s in (1, 2, 4)] == [1, 4, 16]


def test_an_unknown_backbone_is_told():
    with pytest.raises(ValueError, match="b0, b1"):
        build_pixel_embedding(backbone="resnet50")
