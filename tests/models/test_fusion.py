import pytest
import torch

from maskspace.models.fusion import CrossAttention, build_fusion

DIM, HEADS = 12, 3


@pytest.fixture
def maps():
    torch.manual_seed(0)
    return torch.rand(2, DIM, 4, 4), torch.rand(2, 3, DIM, 4, 4)


def test_naive_fusion_is_the_sum(maps):
    image, prompts = maps
    naive = build_fusion("naive", DIM, HEADS, depth=2, checkpointing=False)
    assert list(naive.parameters()) == []
    assert torch.equal(naive(image, prompts), image[:, None] + prompts)


@pytest.mark.parametrize("name", ["self_attention", "cross_attention", "naive"])
def test_prompts_do_not_see_each_other(name, maps):
    image, prompts = maps
    fusion = build_fusion(name, DIM, HEADS, depth=2, checkpointing=False)
    alone = torch.cat([fusion(image, prompts[:, i : i + 1]) for i in range(3)], dim=1)
    torch.testing.assert_close(fusion(image, prompts), alone)


@pytest.mark.parametrize("name", ["self_attention", "cross_attention"])
def test_every_token_sees_every_token_of_its_prompt(name, maps):
    image, prompts = maps
    fusion = build_fusion(name, DIM, HEADS, depth=1, checkpointing=False)
    changed = prompts.clone()
    changed[0, 1, :, 0, 0] += torch.rand(DIM)
    moved = (fusion(image, changed) - fusion(image, prompts)).abs().amax(2)
    assert (moved[0, 1] > 0).all()
    moved[0, 1] = 0
    assert (moved == 0).all()


def test_cross_attention_equals_the_explicit_softmax():
    torch.manual_seed(0)
    attention, tokens, others = (
        CrossAttention(DIM, HEADS),
        torch.rand(2, 5, 12),
        torch.rand(2, 7, 12),
    )
    q, k, v = (
        layer(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for layer, x in ((attention.q, tokens), (attention.k, others), (attention.v, others))
    )
    weights = (q @ k.transpose(-1, -2) / 2).softmax(-1)
    expected = attention.proj((weights @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(attention(tokens, others), expected)


def test_the_prompt_asks_first_and_the_image_then_asks_the_answer(maps):
    image, prompts = maps
    fusion = build_fusion("cross_attention", DIM, HEADS, depth=1, checkpointing=False)
    layer = fusion[0]
    tokens = image.flatten(2).transpose(1, 2)
    asked = layer.prompt_to_image(prompts[:, 0].flatten(2).transpose(1, 2), tokens)
    expected = layer.image_to_prompt(tokens, asked).transpose(1, 2).unflatten(2, (4, 4))
    torch.testing.assert_close(fusion(image, prompts)[:, 0], expected)
