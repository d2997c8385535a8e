"""The clicker: an image and clicks -> mask logits, in SegNext's architecture.

Liu et al. 2024 (SegNext, arXiv 2404.00741): plain ViT features of the image, encoded once; clicks
and the previous mask as dense maps through a patch embedding of their own; both fused; a pyramid of
four levels; a head of 1x1 convolutions at a quarter of a patch. The image is stretched to a square,
as SegNext's evaluation does. `published` reads and writes its checkpoints.
Departures: no class token's position and no final norm, which SegNext carries and never uses;
nothing of an image is remembered between calls; a convolutional stem may replace the image's patch
convolution, and its map at half the image's resolution then joins the finest level of the pyramid,
because a small model on large patches has no room in its tokens for where exactly a border runs;
prompts may say how every pixel lies to the clicks (`prompts.relation_maps`), in the tokens and at
that finest level.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from maskspace.models.fusion import FusionName, build_fusion
from maskspace.models.imagenet_colours import MEAN, STANDARD_DEVIATION
from maskspace.models.prompts import (
    RELATIONS,
    PromptName,
    RelativePrompt,
    click_disks,
    relation_maps,
    scale_clicks,
)
from maskspace.models.pyramid import MaskHead, Pyramid, resize
from maskspace.models.vit import Stem, VisionTransformer, patch_embedding

ViT = Literal["tiny", "small", "base", "large"]
#: dim, depth, heads; a quarter of the blocks attend globally, as in ViTDet.
VITS: dict[ViT, tuple[int, int, int]] = {
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}

#: Pixels of maps that `click_logits` decodes at once, at least one map, by kind of device. A CPU is
#: fastest while they stay near its caches; a map of ViT-B at 1024 takes 0.4 GB on its way.
PIXELS_AT_ONCE = {"cpu": 2**17, "cuda": 2**24}

Decode = Callable[[Tensor, Tensor | None], Tensor]
"""Clicks `b p k 3` and previous probabilities `b p h w` -> logits `b p h w`."""
Refine = Callable[[Decode, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""What turns clicks and previous probabilities into others, with a look at the model's answers."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a clicker is built from; `size` is the side in pixels of the square it works on.

    Example:
        >>> sizes = {"size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> build_click_vit(**sizes, neck_dims=(4, 8, 8, 8), head_dim=8).architecture.patch
        8
    """

    size: int
    patch: int
    dim: int
    depth: int
    heads: int
    global_every: int
    stem: Stem
    prompts: PromptName
    fusion: FusionName
    fusion_depth: int
    neck_dims: tuple[int, int, int, int]
    head_dim: int
    click_radius: float
    checkpointing: bool


class ImageFeatures(NamedTuple):
    """What is computed once an image: the backbone's map, and what a model has beside it.

    That is the stem's finer map, and the normalised image itself for relative prompts.

    Example:
        >>> ImageFeatures(tokens=torch.zeros(1, 16, 4, 4), detail=None, square=None).tokens.shape
        torch.Size([1, 16, 4, 4])
    """

    tokens: Float[Tensor, "b c g g"]
    detail: Float[Tensor, "b d i i"] | None
    square: Float[Tensor, "b 3 s s"] | None


class ClickVit(nn.Module):
    """Interactive segmentor: an image, and prompts of clicks with a previous mask.

    Example:
        >>> sizes = {"size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> model = build_click_vit(**sizes, neck_dims=(4, 8, 8, 8), head_dim=8)
        >>> model.working_side
        32
    """

    answers = frozenset({"click", "refine"})
    mean: Tensor
    std: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.size = a.size
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STANDARD_DEVIATION).view(3, 1, 1), False)
        self.backbone = VisionTransformer(
            image_size=a.size,
            patch=a.patch,
            dim=a.dim,
            depth=a.depth,
            heads=a.heads,
            global_every=a.global_every,
            stem=a.stem,
            checkpointing=a.checkpointing,
        )
        self.prompt_embed = patch_embedding(3, a.dim, a.patch, "patch")
        if a.stem == "convolutional":
            _amplify(self.prompt_embed)
        is_relative = a.prompts == "relative"
        channels, finest = 3 + RELATIONS, a.neck_dims[0]
        self.relative = RelativePrompt(channels, a.dim, a.patch, finest) if is_relative else None
        self.fusion = build_fusion(
            a.fusion, a.dim, a.heads, depth=a.fusion_depth, checkpointing=a.checkpointing
        )
        self.neck = Pyramid(a.dim, a.neck_dims, checkpointing=a.checkpointing)
        width = self.backbone.detail_dim
        self.detail = nn.Conv2d(width, a.neck_dims[0], 1) if width else None
        self.head = MaskHead(a.neck_dims, a.head_dim)

    @property
    def working_side(self) -> int:
        """Return the side in pixels of the square that every image is stretched to."""
        return self.architecture.size

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        clicks: Float[Tensor, "b p k 3"],
        previous: Float[Tensor, "b p h w"] | None = None,
        *,
        refine: Refine | None = None,
    ) -> Float[Tensor, "b p h w"]:
        """Return one logit map for each of p separate prompts on each image.

        A prompt is k clicks (row, column, sign) in pixels of the image, sign 1 positive, -1
        negative, 0 padding, and the foreground probability of the round before, 0 if None.
        `refine` is called once as `refine(decode, clicks, previous)` and returns the clicks, any
        number for each prompt, and the previous map to answer instead; `decode` answers such,
        without gradient and without dropout, from the same features.
        """
        size_hw = (images.shape[2], images.shape[3])
        features = self.image_features(images)
        if refine is not None:

            def decode(clicks: Tensor, previous: Tensor | None) -> Tensor:
                with torch.no_grad(), _evaluating(self.head):
                    return self.decode(features, size_hw, clicks, previous)

            clicks, previous = refine(decode, clicks, previous)
            # autocast would hand the weights cast without gradient to the pass that needs one
            torch.clear_autocast_cache()
        return self.decode(features, size_hw, clicks, previous)

    def image_features(self, images: Float[Tensor, "b 3 h w"]) -> ImageFeatures:
        """Return the features of RGB images in [0, 1] of any size."""
        normalised = (images - self.mean) / self.std
        square = resize(normalised, (self.size, self.size))
        square = square.contiguous(memory_format=torch.channels_last)
        tokens, detail = self.backbone(square)
        return ImageFeatures(tokens, detail, None if self.relative is None else square)

    def decode(
        self,
        features: ImageFeatures,
        size_hw: tuple[int, int],
        clicks: Float[Tensor, "b p k 3"],
        previous: Float[Tensor, "b p h w"] | None = None,
    ) -> Float[Tensor, "b p h w"]:
        """Return the logits of prompts as `forward` takes them, at the images' size."""
        square = self.square_logits(features, scale_clicks(clicks, size_hw, self.size), previous)
        return resize(square, size_hw)

    def square_logits(
        self,
        features: ImageFeatures,
        clicks: Float[Tensor, "b p k 3"],
        previous: Float[Tensor, "b p h w"] | None = None,
    ) -> Float[Tensor, "b p s s"]:
        """Return mask logits at the model's own square size, for clicks in pixels of it."""
        images, prompts = clicks.shape[:2]
        disks = click_disks(clicks.flatten(0, 1), self.size, self.architecture.click_radius)
        if previous is None:
            masks = disks.new_zeros(len(disks), 1, self.size, self.size)
        else:
            masks = resize(previous.flatten(0, 1)[:, None], (self.size, self.size))
        maps = torch.cat([masks, disks.to(masks.dtype)], dim=1).to(self.mean.dtype)
        maps = maps.contiguous(memory_format=torch.channels_last)
        asked, finer = self.prompt_embed(maps), None  # bp c g g
        if self.relative is not None and features.square is not None:
            relations = relation_maps(features.square, clicks.to(maps.dtype)).flatten(0, 1)
            more, finer = self.relative(torch.cat([maps, relations], dim=1))
            asked = asked + more
        fused = self.fusion(features.tokens, asked.unflatten(0, (images, prompts))).flatten(0, 1)
        levels = self.neck(fused)
        finest = levels[0]
        if finer is not None:
            finest = finest + resize(finer, finest.shape[2:])
        if self.detail is not None and features.detail is not None:
            detail = resize(self.detail(features.detail), finest.shape[2:])[:, None]
            finest = (finest.unflatten(0, (images, prompts)) + detail).flatten(0, 1)
        if finest is not levels[0]:
            levels[0] = F.gelu(finest)
        coarse = self.head(levels)
        # between pixels of 16-bit logits there are too few values for where a border runs
        coarse = coarse.to(torch.promote_types(coarse.dtype, torch.float32))
        square = F.interpolate(coarse, maps.shape[2:], mode="bilinear", align_corners=True)
        return square.unflatten(0, (images, prompts))[:, :, 0]

    @torch.inference_mode()
    def encode(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageFeatures:
        """Return the features of one image (protocol ClickModel), in the precision of the weights.

        Of a model's answers, its blocks are the one part that an `autocast` around them rounds.
        Decoded in bfloat16, too, borders move, and fewer proposals stay what they are in float32
        (docs/proposals.md).
        """
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None].to(self.mean.device)
        tokens, detail, square = self.image_features(tensor.to(self.mean.dtype) / 255)
        return ImageFeatures(tokens.to(self.mean.dtype), detail, square)

    @torch.inference_mode()
    def click_logits(
        self,
        features: ImageFeatures,
        size_hw: tuple[int, int],
        clicks_xy: Int[np.ndarray, "k 2"],
        positive: Bool[np.ndarray, " k"],
    ) -> Float32[np.ndarray, "k r s"]:
        """Return one logit map a click (protocol ClickModel), a bounded number of them at once."""
        clicks = scale_clicks(self._signed(clicks_xy, positive)[None, :, None], size_hw, self.size)
        pixels = PIXELS_AT_ONCE.get(clicks.device.type, PIXELS_AT_ONCE["cpu"])
        pieces = clicks.split(max(pixels // self.size**2, 1), dim=1)
        with self._own_precision():
            logits = [self.square_logits(features, piece)[0].float().cpu() for piece in pieces]
        return torch.cat(logits).numpy()

    @torch.inference_mode()
    def mask_logits(
        self,
        features: ImageFeatures,
        size_hw: tuple[int, int],
        clicks_xy: Int[np.ndarray, "k 2"],
        positive: Bool[np.ndarray, " k"],
        previous: Float32[np.ndarray, "h w"] | None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return one map for all clicks together (protocol InteractiveModel)."""
        clicks = self._signed(clicks_xy, positive)[None, None]
        before = None
        if previous is not None:
            before = torch.from_numpy(previous)[None, None].to(self.mean.device)
        with self._own_precision():
            logits = self.decode(features, size_hw, clicks, before)
        return logits[0, 0].float().cpu().numpy()

    def _own_precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.mean.device.type, enabled=False)

    def _signed(
        self, clicks_xy: Int[np.ndarray, "k 2"], positive: Bool[np.ndarray, " k"]
    ) -> Float[Tensor, "k 3"]:
        """Return pixels x y and their signs as (row, column, sign) where the model is."""
        signs = np.where(positive, 1, -1)
        rows = np.stack([clicks_xy[:, 1], clicks_xy[:, 0], signs], axis=1, dtype=np.float32)
        return torch.from_numpy(rows).to(self.mean.device)


def build_click_vit(
    *,
    size: int = 1024,
    patch: int = 16,
    vit: ViT = "base",
    dim: int | None = None,
    depth: int | None = None,
    heads: int | None = None,
    global_every: int | None = None,
    stem: Stem = "patch",
    prompts: PromptName = "disks",
    fusion: FusionName = "self_attention",
    fusion_depth: int = 2,
    neck_dims: tuple[int, int, int, int] = (128, 256, 512, 1024),
    head_dim: int = 256,
    click_radius: float = 5.0,
    checkpointing: bool = False,
) -> ClickVit:
    """Return a clicker; the defaults are SegNext's ViT-B at 1024 with two fusion blocks.

    `dim`, `depth` and `heads` are those of `vit` where they are None; of the blocks, each
    `global_every`-th attends globally, a quarter of them if None. `checkpointing` trades a second
    forward pass for the memory of activations in training.

    Example:
        >>> sizes = {"size": 32, "patch": 8, "dim": 16, "depth": 1, "heads": 2}
        >>> model = build_click_vit(**sizes, neck_dims=(4, 8, 8, 8), head_dim=8).eval()
        >>> image, click = torch.zeros(1, 3, 24, 40), torch.tensor([[[[5.0, 8.0, 1.0]]]])
        >>> with torch.inference_mode():
        ...     model(image, click).shape  # one prompt of one click: a map of logits
        torch.Size([1, 1, 24, 40])
    """
    preset_dim, preset_depth, preset_heads = VITS[vit]
    depth = depth or preset_depth
    return ClickVit(
        Architecture(
            size=size,
            patch=patch,
            dim=dim or preset_dim,
            depth=depth,
            heads=heads or preset_heads,
            global_every=max(depth // 4, 1) if global_every is None else global_every,
            stem=stem,
            prompts=prompts,
            fusion=fusion,
            fusion_depth=fusion_depth,
            neck_dims=neck_dims,
            head_dim=head_dim,
            click_radius=click_radius,
            checkpointing=checkpointing,
        )
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module in evaluation mode, and each of its parts back in its own."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


@torch.no_grad()
def _amplify(prompt_embed: nn.Module) -> None:
    """Let a click stand out from the image's tokens from the first step on.

    A small disk in torch's default initialisation moves a token by a tenth of its norm, and a small
    model spends its first hundreds of steps learning to see it: on rectangles 0.57 mean IoU after
    140 steps of 32 clicks, against 0 without.
    """
    for parameter in prompt_embed.parameters():
        parameter.mul_(5.0)
