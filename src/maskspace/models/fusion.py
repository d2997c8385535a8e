"""Fusions of an image's tokens with those of its prompts, as in SegNext (arXiv 2404.00741).

`self_attention`: their sum through transformer blocks. `naive`: their sum. `cross_attention`: each
stream attends to the other in turn, the prompt first; no published model uses it. LayerNorms here
have torch's eps of 1e-5, those of the backbone 1e-6.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.models.vit import Block, recompute

FusionName = Literal["self_attention", "cross_attention", "naive"]
EPS = 1e-5


class SumFusion(nn.ModuleList):
    """The sum of image and prompt through blocks of self-attention; through none it is naive.

    Example:
        >>> import torch
        >>> fusion = SumFusion(8, 2, depth=1, checkpointing=False)
        >>> fusion(torch.zeros(1, 8, 3, 3), torch.zeros(1, 2, 8, 3, 3)).shape
        torch.Size([1, 2, 8, 3, 3])
    """

    def __init__(self, dim: int, heads: int, *, depth: int, checkpointing: bool) -> None:
        super().__init__(Block(dim, heads, eps=EPS) for _ in range(depth))
        self.checkpointing = checkpointing

    def forward(
        self, image: Float[Tensor, "b c g g"], prompts: Float[Tensor, "b p c g g"]
    ) -> Float[Tensor, "b p c g g"]:
        """Return each image's map with each of its prompts."""
        tokens = (image[:, None] + prompts).flatten(3).transpose(2, 3).flatten(0, 1)  # bp t c
        for block in self:
            tokens = recompute(block, tokens, enabled=self.checkpointing)
        return tokens.transpose(1, 2).reshape(prompts.shape)


class CrossFusion(nn.ModuleList):
    """Prompt and image attend to each other, layer by layer; the image's stream is returned.

    Example:
        >>> import torch
        >>> fusion = CrossFusion(8, 2, depth=1, checkpointing=False)
        >>> fusion(torch.zeros(1, 8, 3, 3), torch.zeros(1, 2, 8, 3, 3)).shape
        torch.Size([1, 2, 8, 3, 3])
    """

    def __init__(self, dim: int, heads: int, *, depth: int, checkpointing: bool) -> None:
        super().__init__(CrossLayer(dim, heads) for _ in range(depth))
        self.checkpointing = checkpointing

    def forward(
        self, image: Float[Tensor, "b c g g"], prompts: Float[Tensor, "b p c g g"]
    ) -> Float[Tensor, "b p c g g"]:
        """Return each image's map with each of its prompts."""
        images = image[:, None].expand_as(prompts).flatten(0, 1).flatten(2).transpose(1, 2)
        asked = prompts.flatten(0, 1).flatten(2).transpose(1, 2)  # bp t c
        for layer in self:
            assert isinstance(layer, CrossLayer)
            asked = recompute(layer.prompt_to_image, asked, images, enabled=self.checkpointing)
            images = recompute(layer.image_to_prompt, images, asked, enabled=self.checkpointing)
        return images.transpose(1, 2).reshape(prompts.shape)


class CrossLayer(nn.Module):
    """A pair of cross-attention blocks; each is named by who asks, then whom.

    Example:
        >>> len(list(CrossLayer(8, 2).children()))
        2
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.image_to_prompt = CrossBlock(dim, heads)
        self.prompt_to_image = CrossBlock(dim, heads)


class CrossAttention(nn.Module):
    """Multi-head attention of tokens to others.

    Example:
        >>> import torch
        >>> CrossAttention(8, 2)(torch.zeros(1, 4, 8), torch.zeros(1, 6, 8)).shape
        torch.Size([1, 4, 8])
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(dim, dim) for _ in range(3))
        self.proj = nn.Linear(dim, dim)

    def forward(
        self, tokens: Float[Tensor, "b t c"], others: Float[Tensor, "b u c"]
    ) -> Float[Tensor, "b t c"]:
        """Return for each token what it finds in the others."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # b heads t c/heads
            for layer, x in ((self.q, tokens), (self.k, others), (self.v, others))
        )
        attended = F.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).flatten(2))


class CrossBlock(nn.Module):
    """A pre-norm block whose attention looks at other tokens, which it does not normalise.

    Example:
        >>> import torch
        >>> CrossBlock(8, 2)(torch.zeros(1, 4, 8), torch.zeros(1, 6, 8)).shape
        torch.Size([1, 4, 8])
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.attn = CrossAttention(dim, heads)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(
        self, tokens: Float[Tensor, "b t c"], others: Float[Tensor, "b u c"]
    ) -> Float[Tensor, "b t c"]:
        """Return transformed tokens."""
        tokens = tokens + self.attn(self.norm1(tokens), others)
        return tokens + self.fc2(F.gelu(self.fc1(self.norm2(tokens))))


def build_fusion(
    name: FusionName, dim: int, heads: int, *, depth: int, checkpointing: bool
) -> SumFusion | CrossFusion:
    """Return a fusion; `naive` has no blocks, whatever the depth.

    Example:
        >>> type(build_fusion("self_attention", 8, 2, depth=1, checkpointing=False)).__name__
        'SumFusion'
    """
    build = CrossFusion if name == "cross_attention" else SumFusion
    return build(dim, heads, depth=0 if name == "naive" else depth, checkpointing=checkpointing)
