"""Networks: the clicker, the pixel embedding, and the folder that holds a trained one."""

from collections.abc import Callable

from torch import nn

from maskspace.models.click_vit import build_click_vit
from maskspace.models.pixel_embedding import build_pixel_embedding
from maskspace.models.weights import load_model, save_model

__all__ = ["MODELS", "load_model", "save_model"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "click_vit": build_click_vit,
    "pixel_embedding": build_pixel_embedding,
}
