import pytest
import torch

from maskspace.heads import DenseMap, Level, heads_as_options
from maskspace.models.unet import build_unet


@pytest.mark.parametrize("size_hw", [(64, 64), (17, 50), (1, 33)])
def test_heads_have_a_cell_for_every_pixel(size_hw):
    declared = {"foreground": DenseMap(channels=1), "2": Level(channels=5, stride=2)}
    heads = heads_as_options(declared)
    model = build_unet(width=4, depth=3, heads=heads).eval()
    with torch.inference_mode():
        outputs = model(torch.rand(2, 3, *size_hw))
    assert outputs["foreground"].shape == (2, 1, *size_hw)
    assert outputs["2"].shape == (2, 5, *(-(-side // 2) for side in size_hw))


def test_gradients_reach_every_parameter():
    model = build_unet(width=4, depth=2)
    sum(level.square().mean() for level in model(torch.rand(2, 3, 32, 32)).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_the_deepest_level_sees_far_and_skips_see_near():
    """A pixel changes its surroundings by twice the deepest step at the least, not the far end."""
    torch.manual_seed(0)
    model = build_unet(width=4, depth=2).eval()
    image = torch.rand(1, 3, 64, 64)
    moved = image.clone()
    moved[..., 32, 32] += 1
    with torch.inference_mode():
        changed = (model(image)["1"] - model(moved)["1"]).abs().amax((0, 1)) > 0
    assert changed[32, 32] and changed[30, 36]
    assert not changed[0].any() and not changed[:, 0].any()


@pytest.mark.parametrize("options", [{"depth": 0}, {"heads": {"x": {"channels": 1, "stride": 64}}}])
def test_what_cannot_be_built_is_told(options):
    with pytest.raises(ValueError, match=r"depth|stride 64"):
        build_unet(**options)
