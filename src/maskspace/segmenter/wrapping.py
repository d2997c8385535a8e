"""From a network to a loaded model: what a served model needs of this package, and no more."""

from pathlib import Path
from typing import cast

from torch import nn

from maskspace.config import choose
from maskspace.heads import levels_of
from maskspace.loaded import Segmenter
from maskspace.models import load_model
from maskspace.partition import DECODERS
from maskspace.segmenter.border import border_segmenter
from maskspace.segmenter.click import ClickSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter
from maskspace.types import ClickModel, MapNetwork, network_answers


def wrap(module: nn.Module, *, name: str) -> Segmenter:
    """Return a network as a Segmenter: one that answers clicks as such, any other as embedding.

    A network that declares its heads (`MapNetwork`) is read by its decoder, or by the merge tree of
    its two finest levels where it has none; another one by the tree of its levels 1 and 2.

    Example:
        >>> from maskspace.models.unet import build_unet
        >>> sorted(wrap(build_unet(width=4, depth=2), name="mine").answers)
        ['click', 'embed', 'graph', 'hierarchy', 'partition', 'propose', 'session']
    """
    if "click" in network_answers(module):
        return ClickSegmenter(name, cast("ClickModel", module))
    if not isinstance(module, MapNetwork):
        return EmbeddingSegmenter(name, module)
    strides = tuple(levels_of(module.declared))
    if module.decoder is None:
        return EmbeddingSegmenter(name, module, levels=strides[:2])
    if module.decoder.name == "border_tree":
        return border_segmenter(name, module, module.decoder)
    decode = choose(DECODERS, module.decoder, kind="decoder")
    return EmbeddingSegmenter(
        name,
        module,
        levels=strides,
        decode=decode,
        ranking=f"score of the decoder {module.decoder.name}",
        categories=module.categories,
    )


def load_folder(folder: Path) -> Segmenter:
    """Return the model of a folder, by the folder's name; ValueError in one line for a bad one.

    Example:
        >>> from maskspace.bundled import model_folder
        >>> load_folder(model_folder("student-tiny")).name
        'student-tiny'
    """
    return wrap(load_model(folder), name=folder.resolve().name)
