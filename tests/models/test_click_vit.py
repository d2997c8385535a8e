import numpy as np
import pytest
import torch
from torch.nn import functional

from maskspace.models.click_vit import Head, build_click_vit, click_disks

SMALL = {
    "size": 32,
    "patch": 8,
    "dim": 16,
    "depth": 1,
    "heads": 2,
    "global_every": 1,
    "fusion_depth": 1,
    "neck_dims": (8, 8, 8, 8),
    "head_dim": 8,
    "click_radius": 2.0,
}


@pytest.fixture(params=["patch", "convolutional"])
def clicker(request):
    torch.manual_seed(0)
    return build_click_vit(stem=request.param, **SMALL).eval()


@pytest.mark.parametrize("size_hw", [(32, 32), (20, 45)])
def test_one_map_a_click_at_the_size_of_the_image(clicker, size_hw):
    clicks = torch.tensor([[[3.0, 4.0, 1.0], [9.0, 19.0, -1.0]]]).repeat(2, 1, 1)
    assert clicker(torch.rand(2, 3, *size_hw), clicks).shape == (2, 2, *size_hw)


def test_clicks_are_answered_apart_from_each_other(clicker):
    image = torch.rand(1, 3, 32, 32)
    clicks = torch.tensor([[[3.0, 4.0, 1.0], [30.0, 19.0, -1.0], [8.0, 8.0, 1.0]]])
    together = clicker(image, clicks)
    alone = torch.cat([clicker(image, clicks[:, k : k + 1]) for k in range(3)], dim=1)
    torch.testing.assert_close(together, alone)


def test_the_sign_of_a_click_matters(clicker):
    image = torch.rand(1, 3, 32, 32)
    maps = clicker(image, torch.tensor([[[9.0, 9.0, 1.0], [9.0, 9.0, -1.0]]]))
    assert not torch.allclose(maps[:, 0], maps[:, 1])


def test_the_protocol_gives_what_training_saw(clicker):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    clicks_xy = np.array([[4, 3], [19, 30]])
    positive = np.array([True, False])
    features = clicker.encode(pixels)
    logits = clicker.click_logits(features, (32, 32), clicks_xy, positive)
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    rows = torch.tensor([[[3.0, 4.0, 1.0], [30.0, 19.0, -1.0]]])
    with torch.inference_mode():
        expected = clicker(image, rows)[0].numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_disks_equal_brute_force_and_merge():
    clicks = torch.tensor([[[0.0, 0.0, 1.0], [5.0, 6.0, 1.0], [6.0, 6.0, -1.0], [2.0, 2.0, 0.0]]])
    disks = click_disks(clicks, 12, 2.0)[0]
    for channel, sign in enumerate((1, -1)):
        for row in range(12):
            for column in range(12):
                near = any(
                    s == sign and (row - r) ** 2 + (column - c) ** 2 <= 4
                    for r, c, s in clicks[0].tolist()
                )
                assert disks[channel, row, column] == near


def test_a_disk_of_radius_five_has_81_pixels():
    assert click_disks(torch.tensor([[[20.0, 20.0, 1.0]]]), 48, 5.0).sum() == 81


@pytest.mark.parametrize(
    ("fusion_depth", "size", "published"),
    [(1, 1024, 106_701_761), (2, 1024, 113_789_633), (2, 512, 111_430_337)],
)
def test_default_sizes_are_those_of_the_published_models(fusion_depth, size, published):
    with torch.device("meta"):
        model = build_click_vit(fusion_depth=fusion_depth, size=size)
    dead = 768 + 2 * 768  # the class token's position and a norm that no forward pass uses
    assert sum(p.numel() for p in model.parameters()) == published - dead


def test_the_head_equals_fusing_what_was_concatenated():
    torch.manual_seed(0)
    head = Head((4, 5, 6, 7), 8).eval()
    levels = [torch.rand(2, c, s, s) for c, s in ((4, 16), (5, 8), (6, 4), (7, 2))]
    resized = [
        functional.interpolate(functional.relu(layer(x)), (16, 16), mode="bilinear")
        for layer, x in zip(head.levels, levels, strict=True)
    ]
    expected = head.out(functional.relu(head.fuse(torch.cat(resized, dim=1))))
    torch.testing.assert_close(head(levels), expected)
