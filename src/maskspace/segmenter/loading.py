"""From a model's name to a model: bundled, a folder, a checkpoint, the registry, a peer."""

from dataclasses import replace
from pathlib import Path
from typing import cast

from torch import nn

from maskspace.bundled import FOLDER, bundled_models, unknown_model
from maskspace.config import option_texts, section_of_texts
from maskspace.loaded import Segmenter
from maskspace.models import load_model, load_published
from maskspace.partition.grid_clicks import ClickGrid
from maskspace.peers import PEERS
from maskspace.segmenter.border import BorderOptions, BorderSegmenter
from maskspace.segmenter.click import ClickSegmenter
from maskspace.segmenter.peer_loading import load_peer
from maskspace.segmenter.results import PREFIX, results_model
from maskspace.segmenter.wrapping import wrap


def load(name: str, *, device: str = "cpu") -> Segmenter:
    """Return a model by name, folder, published checkpoint `*.pth` or URI `models:/NAME@alias`.

    A name is that of a bundled model or a peer's. It may have options: a peer's own, as in
    `felzenszwalb@scale=200,min_size=50`, or of a click model those of `ClickGrid`, as in
    `FOLDER@per_side=32,levels=0.75+0.5+0.25`, of a student for photos those of `BorderOptions`, as
    in `student@flips=true`. `results:PATH` are masks that somebody has computed
    (see `results`), to be evaluated.

    Example:
        >>> load("felzenszwalb@scale=200").name
        'felzenszwalb@scale=200'
        >>> sorted(load("lab").answers)[:3]
        ['click', 'graph', 'hierarchy']
    """
    if name.startswith(PREFIX):
        return results_model(name)
    peer = load_peer(name, device=device)
    if peer is not None:
        return peer
    base, at, text = name.rpartition("@")
    if "=" not in text:  # models:/NAME@alias
        base, at, text = name, "", ""
    network, short = _load_network(base)
    model = wrap(network.to(device), name=f"{short}{at}{text}")
    if not at:
        return model
    options = option_texts(text, place=name)
    if isinstance(model, BorderSegmenter):
        return section_of_texts(BorderOptions, options, place=name).of(model)
    if "click_probabilities" not in model.answers:
        raise ValueError(f"{name}: {base} is no click model, and takes no options")
    return replace(
        cast("ClickSegmenter", model), grid=section_of_texts(ClickGrid, options, place=name)
    )


def _load_network(name: str) -> tuple[nn.Module, str]:
    """Return a network by a name without options, and what it is called in tables."""
    if name in bundled_models():
        return load_model(FOLDER / name), name
    if name.startswith("models:/"):
        from maskspace.tracking import download_model  # mlflow takes seconds to import

        return load_model(download_model(name)), name
    if Path(name).is_dir():
        return load_model(Path(name)), Path(name).resolve().name
    if Path(name).suffix == ".pth":
        return load_published(Path(name)), Path(name).stem
    raise unknown_model(name, PEERS)
