import pytest
import torch

from maskspace.models.vit import (
    Attention,
    Block,
    VisionTransformer,
    merge_windows,
    patch_embedding,
    split_windows,
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
