import torch
from torch.nn import functional

from maskspace.models.pyramid import MaskHead, Pyramid, resize


def test_levels_are_a_quarter_to_twice_the_stride():
    levels = Pyramid(8, (4, 5, 6, 7))(torch.rand(2, 8, 4, 4))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (4, 16, 16),
        (5, 8, 8),
        (6, 4, 4),
        (7, 2, 2),
    ]


def test_the_head_equals_fusing_what_was_concatenated():
    torch.manual_seed(0)
    head = MaskHead((4, 5, 6, 7), 8).eval()
    levels = [torch.rand(2, c, s, s) for c, s in ((4, 16), (5, 8), (6, 4), (7, 2))]
    resized = [
        functional.interpolate(functional.relu(layer(x)), (16, 16), mode="bilinear")
        for layer, x in zip(head.levels, levels, strict=True)
    ]
    expected = head.out(functional.relu(head.fuse(torch.cat(resized, dim=1))))
    torch.testing.assert_close(head(levels), expected)


def test_resizing_to_the_same_size_is_a_no_op():
    maps = torch.rand(1, 2, 3, 5)
    assert resize(maps, (3, 5)) is maps
    torch.testing.assert_close(maps, functional.interpolate(maps, (3, 5), mode="bilinear"))
