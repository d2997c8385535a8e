"""Networks: the clicker, the pixel embedding; a trained one's folder, published checkpoints."""

from collections.abc import Callable

from torch import nn

from maskspace.models.click_vit import build_click_vit
from maskspace.models.feature_pyramid import build_feature_pyramid
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.models.published import load_mae, load_published, signed_clicks, to_published
from maskspace.models.unet import build_unet
from maskspace.models.weights import load_model, save_model

__all__ = [
    "MODELS",
    "load_mae",
    "load_model",
    "load_published",
    "save_model",
    "signed_clicks",
    "to_published",
]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "click_vit": build_click_vit,
    "feature_pyramid": build_feature_pyramid,
    "pixel_embedding": build_pixel_embedding,
    "unet": build_unet,
}
