import numpy as np
import pytest
import torch
from PIL import Image

from maskspace.peers.sam2 import MEAN, STD, sam2, stretch_image, unstretch
from maskspace.segmenter.loading import load


@pytest.mark.parametrize("size_hw", [(45, 54), (300, 33), (64, 64), (17, 20)])
def test_an_image_is_stretched_by_the_filter_of_pillow_without_rounding(size_hw):
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    placed = stretch_image(image, 64)
    for channel, mean, std in zip(range(3), MEAN, STD, strict=True):
        one = Image.fromarray(image[..., channel].astype(np.float32) / 255)
        expected = (np.array(one.resize((64, 64), Image.Resampling.BILINEAR)) - mean) / std
        np.testing.assert_allclose(placed.pixels[0, channel].numpy(), expected, atol=1e-5)
    assert placed.inside_hw == (64, 64) and placed.size_hw == size_hw


def test_maps_come_back_in_one_step(published):
    seen = sam2(weights=str(published["sam2"])).look(np.zeros((32, 48, 3), np.uint8))
    rows = torch.arange(16.0)[None, :, None].expand(1, 16, 16)
    back = unstretch(rows, seen, 64)
    expected = torch.clamp((torch.arange(32) + 0.5) / 2 - 0.5, 0, 15)
    torch.testing.assert_close(back, expected[None, :, None].expand(1, 32, 48))


def test_its_own_threshold_is_its_default(published):
    from maskspace.config import keyword_options
    from maskspace.peers import PEERS

    defaults = {n: keyword_options(PEERS[n].propose)["pred_iou_thresh"] for n in ("sam", "sam2")}
    assert defaults == {"sam": 0.88, "sam2": 0.8}
    assert load(f"sam2@weights={published['sam2']}").ranking == "the network's predicted IoU"
