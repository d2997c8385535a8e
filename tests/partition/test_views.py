import numpy as np
import pytest

from maskspace.partition.views import image_views

SIZES = [(64, 64), (300, 500), (481, 321), (3024, 4032)]


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("overlap", [0.0, 0.34, 1.0])
def test_every_layer_covers_the_image_with_crops_of_nearly_one_size(size_hw, overlap):
    views = image_views(size_hw, layers=2, overlap=overlap, least=1)
    assert [len(views[:1]), len(views[1:5]), len(views[5:])] == [1, 4, 16]
    for layer in (views[:1], views[1:5], views[5:]):
        covered = np.zeros(size_hw, np.uint8)
        for view in layer:
            view.of(covered)[:] += 1
        assert covered.all()
        sizes = [view.of(covered).shape for view in layer]
        assert np.ptp(sizes, axis=0).max() <= 2 ** layer[0].layer  # the last may be shorter


@pytest.mark.parametrize("size_hw", SIZES)
def test_neighbours_overlap_by_the_share_that_was_asked_for(size_hw):
    views = image_views(size_hw, layers=2, overlap=0.34, least=1)
    for layer, count in ((views[1:5], 2), (views[5:], 4)):
        (_, _, _, bottom), (_, top, _, _) = layer[0].box_xyxy, layer[1].box_xyxy
        assert bottom - top == int(0.34 * min(size_hw) * 2 / count)


@pytest.mark.parametrize("size_hw", SIZES)
def test_edges_are_open_where_the_image_goes_on(size_hw):
    height, width = size_hw
    for view in image_views(size_hw, layers=2, overlap=0.34, least=1):
        left, top, right, bottom = view.box_xyxy
        assert (view.open_left, view.open_top) == (left > 0, top > 0)
        assert (view.open_right, view.open_bottom) == (right < width, bottom < height)


def test_crops_too_small_to_see_anything_are_left_out():
    assert len(image_views((100, 400), layers=3, overlap=0.34, least=64)) == 1 + 4
    assert len(image_views((100, 400), layers=0, overlap=0.34, least=1)) == 1
