import json

import pytest
import torch

from maskspace.models.vit import (
    Attention,
    Block,
    VisionTransformer,
    is_global,
    merge_windows,
    patch_embedding,
    resize_positions,
    split_windows,
    window_count,
)


def test_merging_windows_undoes_splitting():
    tokens = torch.rand(2, 36, 5)
    assert torch.equal(merge_windows(split_windows(tokens, 3, 6), 3, 6), tokens)


def test_a_window_holds_the_tokens_of_its_square():
    tokens = torch.arange(16.0).view(1, 16, 1)  # a 4 x 4 grid, row by row
    assert split_windows(tokens, 2, 4)[1, :, 0].tolist() == [2, 3, 6, 7]


def test_attention_equals_the_explicit_softmax():
    torch.manual_seed(0)
    attention, tokens = Attention(12, 3), torch.rand(2, 7, 12)
    q, k, v = attention.qkv(tokens).unflatten(-1, (3, 3, 4)).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    expected = attention.proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens), expected)


def test_a_windowed_block_moves_nothing_between_windows():
    torch.manual_seed(0)
    block, tokens = Block(8, 2), torch.rand(1, 16, 8)
    changed = tokens.clone()
    changed[0, 0] += 1  # in the first of four windows
    difference = (block(changed, 2, 4) - block(tokens, 2, 4)).abs().amax(-1)[0]
    inside = torch.zeros(16, dtype=torch.bool)
    inside[[0, 1, 4, 5]] = True
    assert (difference[inside] > 0).all()
    assert (difference[~inside] == 0).all()


@pytest.mark.parametrize("stem", ["patch", "convolutional"])
def test_both_stems_give_one_token_a_patch(stem):
    assert patch_embedding(3, 24, 8, stem)(torch.rand(1, 3, 32, 32)).shape == (1, 24, 4, 4)


def test_impossible_sizes_are_told():
    options = {"dim": 8, "depth": 1, "heads": 1, "stem": "patch"}
    with pytest.raises(ValueError, match="no multiple of patch"):
        VisionTransformer(image_size=30, patch=8, global_every=1, **options)
    with pytest.raises(ValueError, match="at least 14 tokens"):
        VisionTransformer(image_size=64, patch=8, global_every=3, **options)
    with pytest.raises(ValueError, match="power of 2"):
        patch_embedding(3, 8, 14, "convolutional")


def test_positions_resize_bicubically_and_the_same_grid_is_a_no_op():
    positions = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1)
    assert resize_positions(positions, 2) is positions
    recorded = [0.68359375, 1.015625, 1.5625, 1.89453125, 1.34765625, 1.6796875, 2.2265625,
                2.55859375, 2.44140625, 2.7734375, 3.3203125, 3.65234375, 3.10546875, 3.4375,
                3.984375, 4.31640625]  # fmt: skip
    torch.testing.assert_close(resize_positions(positions, 4).flatten(), torch.tensor(recorded))


@pytest.mark.parametrize(("grid", "windows", "side"), [(28, 2, 14), (32, 2, 16), (64, 4, 16)])
def test_windows_are_the_recorded_ones(vectors, grid, windows, side):
    recorded = json.loads((vectors / "segnext_vectors.json").read_text())["windows"][str(grid)]
    assert window_count(grid, 3) == windows
    split = split_windows(torch.arange(grid**2).float().view(1, -1, 1), windows, grid)
    assert list(split.shape) == recorded["shape"] and split.shape[1] == side**2
    assert split[1, :20, 0].tolist() == recorded["window1_first20"]
    assert split[windows, 0, 0] == recorded["second_row_of_windows_first"]


@pytest.mark.parametrize(
    ("every", "depth", "everywhere"),
    [(3, 12, [2, 5, 8, 11]), (3, 4, [2, 3]), (1, 4, [0, 1, 2, 3]), (2, 4, [1, 3])],
)
def test_global_blocks_are_each_nth_and_the_last(every, depth, everywhere):
    assert [i for i in range(depth) if is_global(i, depth, every)] == everywhere
