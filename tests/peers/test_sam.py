"""SAM's and SAM-HQ's frame, and what the library itself does of mask generation.

Its pipeline cannot run here: it ends in torchvision's NMS. Everything before that is compared.
"""

import numpy as np
import pytest
import torch

from maskspace.peers.automatic_masks import automatic_masks
from maskspace.peers.sam import crop, pad, sam

SIDE = 64


@pytest.fixture(scope="module")
def processor():
    """Return the library's own image processor, the one that works without torchvision."""
    library = pytest.importorskip("transformers.models.sam.image_processing_pil_sam")
    return library.SamImageProcessorPil(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    )


@pytest.mark.parametrize("size_hw", [(45, 54), (90, 33), (64, 64), (20, 300)])
def test_an_image_is_placed_as_the_library_does(size_hw, processor):
    image = np.random.default_rng(0).integers(0, 256, (*size_hw, 3)).astype(np.uint8)
    expected = processor(image, return_tensors="pt")
    placed = pad(image, SIDE)
    torch.testing.assert_close(placed.pixels, expected["pixel_values"].float(), atol=1e-5, rtol=0)
    assert placed.inside_hw == tuple(expected["reshaped_input_sizes"][0].tolist())
    assert placed.size_hw == size_hw


def test_masks_before_suppression_are_those_of_the_library(processor, published, picture):
    height, width = picture.shape[:2]
    network = sam(weights=str(published["sam"]))
    boxes, points, _, labels = processor.generate_crop_boxes(picture, SIDE, points_per_crop=6)
    inputs = processor(picture, return_tensors="pt")
    with torch.inference_mode():
        embeddings = network.model.get_image_embeddings(inputs["pixel_values"].float())
        out = network.model(image_embeddings=embeddings, input_points=points, input_labels=labels)
    full = processor.post_process_masks(
        out.pred_masks, [(height, width)], inputs["reshaped_input_sizes"].tolist(), binarize=False
    )
    counts, scores, _ = processor.filter_masks(
        full[0], out.iou_scores[0], (height, width), boxes[0],
        pred_iou_thresh=0.2, stability_score_thresh=0.5, stability_score_offset=0.02,
    )  # fmt: skip
    masks = np.stack([runs_to_mask(one) for one in counts])
    ours = automatic_masks(
        sam, picture, weights=str(published["sam"]), points_per_side=6, pred_iou_thresh=0.2,
        stability_score_thresh=0.5, stability_score_offset=0.02, box_nms_thresh=1.0, limit=1000,
    )  # fmt: skip
    order = np.argsort(-scores.numpy(), kind="stable")
    assert len(ours) == len(order) > 10
    np.testing.assert_allclose(ours.scores, scores.numpy()[order], rtol=1e-4, atol=1e-5)
    assert (ours.masks != masks[order]).sum(axis=(1, 2)).max() <= 1


def runs_to_mask(runs: dict) -> np.ndarray:
    height, width = runs["size"]
    values = np.arange(len(runs["counts"])) % 2 == 1
    return np.repeat(values, runs["counts"]).reshape(width, height).T


def test_a_map_comes_back_to_where_the_image_was(published):
    image = np.zeros((30, 120, 3), np.uint8)
    seen = sam(weights=str(published["sam"])).look(image)
    assert seen.inside_hw == (16, 64)
    logits = torch.full((1, 16, 16), -5.0)
    logits[:, :4] = 5.0  # the rows that hold the image; the rest is padding
    back = crop(logits, seen, SIDE)
    assert back.shape == (1, 30, 120) and (back[:, :-4] > 0).all()
