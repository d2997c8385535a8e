"""Published architectures at a size for tests, with random weights, as their library saves them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

SIDE = 64


def randomise(model: nn.Module, *, seed: int) -> nn.Module:
    """Give every weight a value at which maps vary and predicted IoU spreads over images."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 1
        scale = 0.1 if weight.ndim == 1 or "pos_embed" in name else fan_in**-0.5
        noise = torch.randn(weight.shape, generator=generator) * scale
        weight.data = noise + (weight.ndim == 1 and "norm" in name and "weight" in name)
        if type(model).__name__ == "SamModel" and name.endswith(
            "iou_prediction_head.proj_out.bias"
        ):
            weight.data += 0.7  # or none would be above 0
    return model.eval()


def sam_configs(library, kind: str) -> dict:
    """Return the parts of SAM's configuration that both SAM and SAM-HQ have."""
    small = {"hidden_size": 16, "image_size": SIDE, "patch_size": 8}
    vision = getattr(library, f"{kind}VisionConfig")(
        **small, output_channels=16, num_hidden_layers=2, num_attention_heads=2, num_pos_feats=8,
        window_size=4, global_attn_indexes=[1], mlp_dim=32,
    )  # fmt: skip
    prompts = getattr(library, f"{kind}PromptEncoderConfig")(**small, mask_input_channels=4)
    extra = {"vit_dim": 16} if kind == "SamHQ" else {}
    decoder = getattr(library, f"{kind}MaskDecoderConfig")(
        hidden_size=16, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16, **extra
    )
    return {
        "vision_config": vision.to_dict(),
        "prompt_encoder_config": prompts.to_dict(),
        "mask_decoder_config": decoder.to_dict(),
    }


def sam2_config(library):
    backbone = library.Sam2HieraDetConfig(
        hidden_size=8, image_size=[SIDE, SIDE], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64], num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2], global_attention_blocks=[3],
    )  # fmt: skip
    vision = library.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]], fpn_hidden_size=16,
    )  # fmt: skip
    prompts = library.Sam2PromptEncoderConfig(
        hidden_size=16, image_size=SIDE, patch_size=16, mask_input_channels=4
    )
    decoder = library.Sam2MaskDecoderConfig(
        hidden_size=16, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
    )
    return library.Sam2Config(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )


@pytest.fixture(scope="session")
def published(tmp_path_factory) -> dict[str, Path]:
    """Return the folder of each network, by the peer's name."""
    library = pytest.importorskip("transformers")
    sam = library.SamConfig(**sam_configs(library, "Sam"))
    sam_hq = library.SamHQConfig(**sam_configs(library, "SamHQ"))
    dinov2 = library.Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=56, patch_size=14
    )
    models = {
        "sam": library.SamModel(sam),
        "sam-hq": library.SamHQModel(sam_hq),
        "sam2": library.Sam2Model(sam2_config(library)),
        "dinov2": library.Dinov2Model(dinov2),
    }
    folders = {name: tmp_path_factory.mktemp("published") / name for name in models}
    for seed, (name, model) in enumerate(models.items()):
        randomise(model, seed=seed).save_pretrained(folders[name])
    return folders


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Return a small image of blocks and noise, wider than it is high."""
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 256, (5, 6, 3)), np.ones((8, 9, 1)))
    noisy = blocks + rng.integers(-20, 20, blocks.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)
