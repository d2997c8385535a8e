from dataclasses import asdict

import pytest
import torch

from maskspace.models.unet import build_unet
from maskspace.types import Head


@pytest.mark.parametrize("size_hw", [(64, 64), (17, 50), (1, 33)])
def test_heads_have_a_cell_for_every_pixel(size_hw):
    declared = {"foreground": Head(channels=1), "2": Head(channels=5, stride=2)}
    heads = {name: asdict(head) for name, head in declared.items()}
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


@pytest.mark.parametrize("options", [{"depth": 0}, {"heads": {"8": {"channels": 1, "stride": 64}}}])
def test_what_cannot_be_built_is_told(options):
    with pytest.raises(ValueError, match=r"depth|stride 64"):
        build_unet(**options)
