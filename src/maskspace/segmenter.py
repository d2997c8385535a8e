"""What `maskspace.load` returns: one interface to the student, the teacher and the peers.

Three kinds answer it, each with its own source: a pixel embedding (everything follows from its
merge tree), a click model (clicks, and proposals from a grid of clicks), a source of proposals.
What a kind has no answer to is a ValueError that says so.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NoReturn, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, UInt8
from PIL import Image
from torch import nn

from maskspace.models import load_model
from maskspace.partition.editing import combine_clicks
from maskspace.partition.grid_clicks import decode_clicks, propose_from_clicks
from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.resample import resize_maps, stack_levels
from maskspace.peers import PEERS, Peer
from maskspace.types import Click, ClickModel, Embedding, Proposals, read_rgb, shrink_image

ImageLike = np.ndarray | Image.Image | str | bytes | os.PathLike[str]
ClickLike = Click | tuple[int, int, bool]
Value = TypeVar("Value")

BUNDLED = Path(__file__).parent / "weights"
MIN_SIDE = 16
#: What cameras sell as 12 megapixels.
MAX_PIXELS = 4032 * 3024


@runtime_checkable
class Segmenter(Protocol):
    """A loaded model; `name` is for tables and errors, `ranking` what decides proposals' order.

    Images are uint8 RGB arrays, PIL images, encoded bytes or paths, from 16×16 to 12 megapixels;
    anything else, and what a model cannot answer, raises ValueError.
    """  # noqa: RUF002

    @property
    def name(self) -> str:
        """Return the model's name."""
        ...

    @property
    def ranking(self) -> str:
        """Return what proposals are ranked by."""
        ...

    def embed(self, image: ImageLike) -> Embedding:
        """Return a feature vector per pixel, in [0, 1], at the model's working resolution."""
        ...

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the tree that answers every number of regions in milliseconds."""
        ...

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return exactly `regions` 4-connected regions with labels from 1."""
        ...

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return at most `limit` masks, best first."""
        ...

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks (x, y, positive) describe, whatever their order."""
        ...


def load(name: str, *, device: str = "cpu") -> Segmenter:
    """Return a model by bundled name, peer's name, folder, or registry URI `models:/NAME@alias`."""
    if name in PEERS:
        return PeerSegmenter(name, PEERS[name])
    if name in bundled_models():
        return wrap(load_model(BUNDLED / name).to(device), name=name)
    if name.startswith("models:/"):
        from maskspace.tracking import download_model  # mlflow takes seconds to import

        return wrap(load_model(download_model(name)).to(device), name=name)
    if Path(name).is_dir():
        return wrap(load_model(Path(name)).to(device), name=Path(name).resolve().name)
    known = ", ".join([*bundled_models(), *sorted(PEERS)])
    raise ValueError(
        f"model {name!r} is unknown; choose one of {known}, a folder with model.json and "
        "model.safetensors, or models:/NAME@alias"
    )


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/model.json"))


def wrap(module: nn.Module, *, name: str) -> "Segmenter":
    """Return a network as a Segmenter: one that answers clicks as such, any other as embedding."""
    if isinstance(module, ClickModel):
        return ClickSegmenter(name, module)
    return EmbeddingSegmenter(name, module)


@dataclass(frozen=True)
class EmbeddingSegmenter:
    """A network from images to features in [0, 1]; regions are nodes of its merge tree.

    `levels` are the strides whose features the tree is built on. Images longer than `max_side`
    pixels are embedded at that size, and regions brought back by nearest neighbour. The tree of
    the last image is kept, so that many questions on one image cost one pass.
    """

    name: str
    module: nn.Module
    levels: tuple[int, ...] = (1, 2)
    max_side: int = 1024
    regions: int = 1024
    ranking: str = "persistence in the merge tree, times the root of the area"
    _last: "_LastImage[MergeTree]" = field(default_factory=lambda: _LastImage(), compare=False)

    def embed(self, image: ImageLike) -> Embedding:
        """Return the network's levels for the image, shrunk to at most `max_side` pixels a side."""
        return self._embed(checked_image(image))

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the merge tree of the image's features."""
        return self._last.get(checked_image(image), self._tree)

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return the tree's partition into exactly `regions`."""
        return self.hierarchy(image).partition(regions)

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return the tree's longest-lived nodes."""
        return self.hierarchy(image).proposals(limit)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the union over positive clicks of the longest-lived node under each.

        Nodes that hold a negative click are passed over; a positive click that shares its
        superpixel with a negative one adds nothing.
        """
        tree = self.hierarchy(image)
        checked = checked_clicks(clicks, tree.size_hw)
        negative = tuple((click.x, click.y) for click in checked if not click.positive)
        mask = np.zeros(tree.size_hw, bool)
        for click in checked:
            if click.positive:
                mask |= tree.region_at(click.x, click.y, avoid_xy=negative)
        return mask

    def _embed(self, image: UInt8[np.ndarray, "h w 3"]) -> Embedding:
        image = shrink_image(image, max_side=self.max_side)
        weight = next(self.module.parameters(), torch.zeros(()))
        pixels = torch.from_numpy(image).to(weight.device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            levels = self.module(pixels)
        return Embedding({stride: x[0].float().cpu().numpy() for stride, x in levels.items()})

    def _tree(self, image: UInt8[np.ndarray, "h w 3"]) -> MergeTree:
        features = stack_levels(self._embed(image).levels, self.levels)
        return build_tree(features, size_hw=(image.shape[0], image.shape[1]), regions=self.regions)


@dataclass(frozen=True)
class ClickSegmenter:
    """A click model; proposals come from a grid of `per_side` × `per_side` clicks.

    `rule` is that of `combine_clicks`. The features of the last image are kept, so that one more
    click costs one click.
    """  # noqa: RUF002

    name: str
    model: ClickModel
    per_side: int = 16
    chunk: int = 64
    overlap: float = 0.7
    rule: str = "claims"
    ranking: str = "stability of the click's map"
    _last: "_LastImage[torch.Tensor]" = field(default_factory=lambda: _LastImage(), compare=False)

    def embed(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: a click model has no vector per pixel."""
        raise self._cannot("embed")

    def hierarchy(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: a click model has no features to merge by."""
        raise self._cannot("hierarchy")

    def partition(self, image: ImageLike, regions: int) -> NoReturn:
        """Raise ValueError: masks of a grid of clicks are no partition."""
        raise self._cannot("partition")

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return the masks of a grid of clicks without near-duplicates, most stable first."""
        return propose_from_clicks(
            self.model,
            checked_image(image),
            limit=limit,
            per_side=self.per_side,
            chunk=self.chunk,
            overlap=self.overlap,
        )

    def click(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        *,
        level: float = 0.5,
        start: Bool[np.ndarray, "h w"] | None = None,
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask by maximum certainty, each map cut at the probability `level` in (0, 1).

        `start` is the mask that the clicks correct, empty if None.
        """
        if not 0 < level < 1:
            raise ValueError(f"{self.name}: level is a probability in (0, 1); got {level}")
        rgb = checked_image(image)
        if start is not None and start.shape != rgb.shape[:2]:
            raise ValueError(f"the start mask is {start.shape}, the image {rgb.shape[:2]}")
        checked = checked_clicks(clicks, (rgb.shape[0], rgb.shape[1]))
        checked = list(dict.fromkeys(checked))
        logits = self._logits(rgb, checked) - np.float32(np.log(level / (1 - level)))
        positive = np.array([click.positive for click in checked])
        return combine_clicks(logits, positive, start=start, rule=self.rule)

    def click_probabilities(
        self, image: ImageLike, clicks: Sequence[ClickLike]
    ) -> Float32[np.ndarray, "k h w"]:
        """Return each click's own map of the probability that a pixel is of what it stands for."""
        rgb = checked_image(image)
        checked = checked_clicks(clicks, (rgb.shape[0], rgb.shape[1]))
        return torch.from_numpy(self._logits(rgb, checked)).sigmoid().numpy()

    def _logits(
        self, image: UInt8[np.ndarray, "h w 3"], clicks: list[Click]
    ) -> Float32[np.ndarray, "k h w"]:
        size_hw = (image.shape[0], image.shape[1])
        features = self._last.get(image, self.model.encode)
        clicks_xy = np.array([(click.x, click.y) for click in clicks])
        positive = np.array([click.positive for click in clicks])
        chunk = min(self.chunk, len(clicks))
        maps = decode_clicks(self.model, features, size_hw, clicks_xy, positive, chunk=chunk)
        return resize_maps(maps, size_hw)

    def _cannot(self, method: str) -> ValueError:
        return cannot_answer(self.name, method, answers="click, click_probabilities and propose")


@dataclass(frozen=True)
class PeerSegmenter:
    """A method that gives proposals and nothing else."""

    name: str
    peer: Peer

    @property
    def ranking(self) -> str:
        """Return what the peer's proposals are ranked by."""
        return self.peer.ranking

    def embed(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: the method has no vector per pixel."""
        raise self._cannot("embed")

    def hierarchy(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: the method has no tree."""
        raise self._cannot("hierarchy")

    def partition(self, image: ImageLike, regions: int) -> NoReturn:
        """Raise ValueError: the method cannot be asked for a number of regions."""
        raise self._cannot("partition")

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return the method's regions."""
        return self.peer.propose(checked_image(image), limit=limit)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> NoReturn:
        """Raise ValueError: the method takes no clicks."""
        raise self._cannot("click")

    def _cannot(self, method: str) -> ValueError:
        return cannot_answer(self.name, method, answers="propose")


def cannot_answer(name: str, method: str, *, answers: str) -> ValueError:
    """Return the error of a model that is asked for what it does not have."""
    return ValueError(f"{name} cannot answer {method}; it answers {answers}")


def checked_image(image: ImageLike) -> UInt8[np.ndarray, "h w 3"]:
    """Return the image as RGB, or raise ValueError if it is not one or its size is out of range."""
    if isinstance(image, os.PathLike):
        image = os.fspath(image)
    rgb = read_rgb(image)
    height, width = rgb.shape[:2]
    place = f"{image}: " if isinstance(image, str) else ""
    if min(height, width) < MIN_SIDE:
        raise ValueError(
            f"{place}the image has {width} columns and {height} rows; "
            f"give one of at least {MIN_SIDE} a side"
        )
    if height * width > MAX_PIXELS:
        raise ValueError(
            f"{place}the image has {height * width / 1e6:.1f} megapixels; downscale it to 12"
        )
    return rgb


def checked_clicks(clicks: Sequence[ClickLike], size_hw: tuple[int, int]) -> list[Click]:
    """Return the clicks as records; ValueError for none and for one outside the image."""
    height, width = size_hw
    if len(clicks) == 0:
        raise ValueError("no clicks; give at least one (x, y, positive)")
    checked = []
    for click in clicks:
        if not isinstance(click, Click):
            click = Click(int(click[0]), int(click[1]), bool(click[2]))
        if not (0 <= click.x < width and 0 <= click.y < height):
            raise ValueError(
                f"click ({click.x}, {click.y}) is outside the image: x is in 0..{width - 1} and "
                f"y in 0..{height - 1}"
            )
        checked.append(click)
    return checked


class _LastImage(Generic[Value]):
    """What was computed for the image asked about last."""

    def __init__(self) -> None:
        self._known: tuple[bytes, Value] | None = None

    def get(
        self,
        image: UInt8[np.ndarray, "h w 3"],
        compute: Callable[[UInt8[np.ndarray, "h w 3"]], Value],
    ) -> Value:
        """Return `compute(image)`, remembered from the last call if that was of an equal image."""
        digest = hashlib.blake2b(image.tobytes(), digest_size=16)
        digest.update(repr(image.shape).encode())
        known = self._known
        if known is None or known[0] != digest.digest():
            known = self._known = (digest.digest(), compute(image))
        return known[1]
