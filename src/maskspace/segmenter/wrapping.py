"""From a network to a loaded model: what a served model needs of this package, and no more."""

from pathlib import Path

from torch import nn

from maskspace.config import choose
from maskspace.heads import levels_of
from maskspace.models import load_model
from maskspace.models.pixel_embedding import PixelEmbedding
from maskspace.models.unet import UNet
from maskspace.partition import DECODERS
from maskspace.segmenter.click import ClickSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter
from maskspace.segmenter.protocol import Segmenter
from maskspace.types import ClickModel


def wrap(module: nn.Module, *, name: str) -> Segmenter:
    """Return a network as a Segmenter: one that answers clicks as such, any other as embedding."""
    if isinstance(module, ClickModel):
        return ClickSegmenter(name, module)
    if not isinstance(module, PixelEmbedding | UNet):
        return EmbeddingSegmenter(name, module)
    strides = tuple(levels_of(module.heads.declared))
    if module.decoder is None:
        return EmbeddingSegmenter(name, module, levels=strides[:2])
    decode = choose(DECODERS, module.decoder, kind="decoder")
    ranking = f"score of the decoder {module.decoder.name}"
    return EmbeddingSegmenter(name, module, levels=strides, decode=decode, ranking=ranking)


def load_folder(folder: Path) -> Segmenter:
    """Return the model of a folder, by the folder's name; ValueError in one line for a bad one."""
    return wrap(load_model(folder), name=folder.resolve().name)
