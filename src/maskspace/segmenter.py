"""What `maskspace.load` returns: one interface to the student, the teacher and the peers.

Each kind answers it from a source of its own: a pixel embedding or a method with a merge tree (all
else follows from the tree), a click model (clicks, and proposals from a grid of them), a source of
proposals or of clicks.
What a kind has no answer to is a ValueError that says so.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, NoReturn, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32, UInt8
from PIL import Image
from torch import Tensor, nn

from maskspace.config import Choice, choose, section_of_texts
from maskspace.models import load_model, load_published
from maskspace.models.click_vit import ClickVit
from maskspace.models.pixel_embedding import PixelEmbedding
from maskspace.models.unet import UNet
from maskspace.partition import DECODERS
from maskspace.partition.decoded import Decoded
from maskspace.partition.grid_clicks import ClickGrid, propose_from_clicks
from maskspace.partition.image_editor import ImageEditor
from maskspace.partition.merge_tree import MergeTree, build_tree
from maskspace.partition.resample import stack_levels
from maskspace.peers import PEERS, EmbeddingPeer, Peer, TreePeer, find_peer, option_texts
from maskspace.session import ClickLike, ClickSession, checked_clicks
from maskspace.types import (
    Click,
    ClickAnswer,
    ClickModel,
    Embedding,
    Proposals,
    read_rgb,
    shrink_image,
)

ImageLike = np.ndarray | Image.Image | str | bytes | os.PathLike[str]
Value = TypeVar("Value")

BUNDLED = Path(__file__).parent / "weights"
MIN_SIDE = 16
#: What the orders of a grid of clicks are, for tables.
CLICK_RANKINGS = {
    "stability": "stability of the click's map",
    "predicted_iou": "IoU that the click's map predicts of its mask",
    "mean_score": "mean of the stability of the click's map and the IoU that it predicts",
}
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

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on one image that can be added, undone, saved and loaded."""
        ...


def load(name: str, *, device: str = "cpu") -> Segmenter:
    """Return a model by name, folder, published checkpoint `*.pth` or URI `models:/NAME@alias`.

    A name is that of a bundled model or a peer's. It may have options: a peer's own, as in
    `felzenszwalb@scale=200,min_size=50`, or of a click model those of `ClickGrid`, as in
    `FOLDER@per_side=32,levels=0.75+0.5+0.25`.
    """
    peer = find_peer(name, device=device)
    if isinstance(peer, TreePeer):
        return TreePeerSegmenter(name, peer)
    try:
        if isinstance(peer, EmbeddingPeer):
            return _embedding_of(name, peer)
        if peer is not None and peer.network is not None:
            peer.network()  # what is wrong with the weights is said here, not at every image
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if peer is not None:
        return PeerSegmenter(name, peer)
    base, at, text = name.rpartition("@")
    if "=" not in text:  # models:/NAME@alias
        base, at, text = name, "", ""
    network, short = _load_network(base)
    model = wrap(network.to(device), name=f"{short}{at}{text}")
    if not at:
        return model
    options = option_texts(text, place=name)
    if not isinstance(model, ClickSegmenter):
        raise ValueError(f"{name}: {base} is no click model, and takes no options")
    return replace(model, grid=section_of_texts(ClickGrid, options, place=name))


def _load_network(name: str) -> tuple[nn.Module, str]:
    """Return a network by a name without options, and what it is called in tables."""
    if name in bundled_models():
        return load_model(BUNDLED / name), name
    if name.startswith("models:/"):
        from maskspace.tracking import download_model  # mlflow takes seconds to import

        return load_model(download_model(name)), name
    if Path(name).is_dir():
        return load_model(Path(name)), Path(name).resolve().name
    if Path(name).suffix == ".pth":
        return load_published(Path(name)), Path(name).stem
    known = ", ".join([*bundled_models(), *sorted(PEERS)])
    raise ValueError(
        f"model {name!r} is unknown; choose one of {known}, a folder with model.json and "
        "model.safetensors, a published checkpoint *.pth, or models:/NAME@alias"
    )


def _embedding_of(name: str, peer: EmbeddingPeer) -> "EmbeddingSegmenter":
    module = peer.network()
    return EmbeddingSegmenter(
        name,
        module,
        levels=(module.stride,),
        max_side=module.side,
        contrast=module.contrast,
    )


def bundled_models() -> list[str]:
    """Return the names of the models that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob("*/model.json"))


def wrap(module: nn.Module, *, name: str) -> "Segmenter":
    """Return a network as a Segmenter: one that answers clicks as such, any other as embedding."""
    if isinstance(module, ClickModel):
        return ClickSegmenter(name, module)
    if not isinstance(module, PixelEmbedding | UNet):
        return EmbeddingSegmenter(name, module)
    strides = tuple(sorted(int(head) for head in module.heads if head.isdigit()))
    if module.decoder is None:
        return EmbeddingSegmenter(name, module, levels=strides[:2])
    decode = choose(DECODERS, module.decoder, kind="decoder")
    ranking = f"score of the decoder {module.decoder.name}"
    return EmbeddingSegmenter(name, module, levels=strides, decode=decode, ranking=ranking)


def decoder_of(model: Segmenter) -> Choice | None:
    """Return what makes instances of a student's outputs; None if its merge tree, or no student."""
    module = model.module if isinstance(model, EmbeddingSegmenter) else None
    return module.decoder if isinstance(module, PixelEmbedding | UNet) else None


def redecoded(model: Segmenter, decoder: Choice) -> Segmenter:
    """Return a student, with the same network, that another decoder reads."""
    assert isinstance(model, EmbeddingSegmenter)
    return replace(
        model,
        decode=choose(DECODERS, decoder, kind="decoder"),
        ranking=f"score of the decoder {decoder.name}",
    )


@dataclass(frozen=True)
class EmbeddingSegmenter:
    """A network from images to features; regions are nodes of their merge tree.

    Features are in [0, 1] where the network emits colours, and where it has a decoder whatever its
    objective makes of them. Then proposals are what `decode` finds, not the nodes of the tree.

    `levels` are the strides whose features the tree is built on, their differences times
    `contrast`. Images longer than `max_side` pixels are embedded at that size, and regions brought
    back by nearest neighbour. The tree of the last image is kept, so that many questions on one
    image cost one pass.
    """

    name: str
    module: nn.Module
    levels: tuple[int, ...] = (1, 2)
    max_side: int = 1024
    regions: int = 1024
    contrast: float = 1.0
    ranking: str = "persistence in the merge tree, times the root of the area"
    decode: Callable[[Mapping[str, Tensor]], Decoded] | None = None
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
        """Return the tree's longest-lived nodes, or what the network's decoder finds."""
        if self.decode is None:
            return self.hierarchy(image).proposals(limit)
        rgb = checked_image(image)
        return self.decode(self._outputs(rgb)).proposals(rgb.shape[:2], limit=limit)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the union over positive clicks of the longest-lived node under each.

        Nodes that hold a negative click are passed over; a positive click that shares its
        superpixel with a negative one adds nothing.
        """
        tree = self.hierarchy(image)
        checked = some_clicks(clicks, tree.size_hw)
        negative = tuple((click.x, click.y) for click in checked if not click.positive)
        mask = np.zeros(tree.size_hw, bool)
        for click in checked:
            if click.positive:
                mask |= tree.region_at(click.x, click.y, avoid_xy=negative)
        return mask

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        return masks_only_session(self, checked_image(image), start)

    def _embed(self, image: UInt8[np.ndarray, "h w 3"]) -> Embedding:
        if not self.levels:
            raise cannot_answer(self.name, "embed or hierarchy", answers="propose")
        outputs = self._outputs(image)
        levels = {int(head): x for head, x in outputs.items() if head.isdigit()}
        return Embedding({stride: x.cpu().numpy() for stride, x in levels.items()})

    def _outputs(self, image: UInt8[np.ndarray, "h w 3"]) -> dict[str, Float32[Tensor, "_ _ _"]]:
        image = shrink_image(image, max_side=self.max_side)
        weight = next(self.module.parameters(), torch.zeros(()))
        pixels = torch.from_numpy(image).to(weight.device).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return {head: x[0].float() for head, x in self.module(pixels).items()}

    def _tree(self, image: UInt8[np.ndarray, "h w 3"]) -> MergeTree:
        features = stack_levels(self._embed(image).levels, self.levels)
        if self.contrast != 1:
            features = features * np.float32(self.contrast)
        return build_tree(features, size_hw=(image.shape[0], image.shape[1]), regions=self.regions)


@dataclass(frozen=True)
class ClickSegmenter:
    """A click model; proposals come from a grid of clicks.

    What was computed for the last image is kept, so that one more click costs one decode.
    """

    name: str
    model: ClickModel
    grid: ClickGrid = field(default_factory=ClickGrid)
    _last: "_LastImage[ImageEditor]" = field(default_factory=lambda: _LastImage(), compare=False)

    @property
    def ranking(self) -> str:
        """Return what proposals are ranked by."""
        return CLICK_RANKINGS[self.grid.ranking]

    @property
    def working_side(self) -> int | None:
        """Return the side in pixels of the square that images are stretched to, if it is known."""
        return self.model.architecture.size if isinstance(self.model, ClickVit) else None

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
        """Return the masks of a grid of clicks without near-duplicates, best first."""
        return propose_from_clicks(self.model, checked_image(image), limit=limit, grid=self.grid)

    def click(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        *,
        level: float = 0.5,
        start: Bool[np.ndarray, "h w"] | None = None,
        rule: str = "claims",
    ) -> Bool[np.ndarray, "h w"]:
        """Return the mask of the clicks, each map cut at the probability `level` in (0, 1).

        By the rules of `combine_clicks`, or "iterative": the clicks replayed in their order, each
        round given the last one's map. `start` is the mask that they correct, empty if None.
        """
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.mask(checked, level=level, start=start, rule=rule)

    def click_probabilities(
        self, image: ImageLike, clicks: Sequence[ClickLike]
    ) -> Float32[np.ndarray, "k h w"]:
        """Return each click's own map of the probability that a pixel is of what it stands for."""
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.probabilities(checked)

    def refine(
        self,
        image: ImageLike,
        clicks: Sequence[ClickLike],
        previous: Float32[np.ndarray, "h w"] | None = None,
    ) -> Float32[np.ndarray, "h w"]:
        """Return the foreground probability of all clicks, given the last round's, None at first.

        Their order does not matter.
        """
        editor = self._editor(checked_image(image))
        checked = some_clicks(clicks, editor.size_hw)
        with self._named():
            return editor.refine(checked, previous)

    def session(
        self,
        image: ImageLike,
        start: Bool[np.ndarray, "h w"] | None = None,
        *,
        level: float = 0.5,
        rule: str = "claims",
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load, beginning with none."""
        rgb = checked_image(image)
        editor = self._editor(rgb)
        with self._named():
            return ClickSession(
                rgb, editor.mask, model=self.name, level=level, start=start, rule=rule
            )

    def _editor(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageEditor:
        return self._last.get(image, self._look_at)

    def _look_at(self, image: UInt8[np.ndarray, "h w 3"]) -> ImageEditor:
        size_hw = (image.shape[0], image.shape[1])
        return ImageEditor(self.model, self.model.encode(image), size_hw, chunk=self.grid.chunk)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Say which model refuses."""
        try:
            yield
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def _cannot(self, method: str) -> ValueError:
        answers = "click, click_probabilities, refine, session and propose"
        return cannot_answer(self.name, method, answers=answers)


@dataclass(frozen=True)
class PeerSegmenter:
    """A method that answers clicks or proposals; what it found out of the last image is kept."""

    name: str
    peer: Peer
    _last: "_LastImage[ClickAnswer]" = field(default_factory=lambda: _LastImage(), compare=False)

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

    def networks(self) -> list[nn.Module]:
        """Return the networks whose weights decide what the method answers."""
        return [] if self.peer.network is None else [self.peer.network()]

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return the method's regions."""
        if self.peer.propose is None:
            raise self._cannot("propose")
        return self.peer.propose(checked_image(image), limit=limit)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the method's partitions, one a scale of its own; `counts` are not read."""
        if self.peer.scales is None:
            raise self._cannot("partition")
        yield from self.peer.scales(checked_image(image))

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, whatever their order."""
        if self.peer.click is None:
            raise self._cannot("click")
        rgb = checked_image(image)
        checked = some_clicks(clicks, (rgb.shape[0], rgb.shape[1]))
        return self._last.get(rgb, self.peer.click)(checked)

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        if self.peer.click is None:
            raise self._cannot("session")
        return masks_only_session(self, checked_image(image), start)

    def _cannot(self, method: str) -> ValueError:
        click = ("click", "session") if self.peer.click else ()
        propose = ("propose",) if self.peer.propose else ()
        return cannot_answer(self.name, method, answers=" and ".join((*click, *propose)))


@dataclass(frozen=True)
class TreePeerSegmenter:
    """A method that makes a tree of an image, from which all follows; the last tree is kept."""

    name: str
    peer: TreePeer
    _last: "_LastImage[MergeTree]" = field(default_factory=lambda: _LastImage(), compare=False)

    @property
    def ranking(self) -> str:
        """Return what the peer's proposals are ranked by."""
        return self.peer.ranking

    def embed(self, image: ImageLike) -> NoReturn:
        """Raise ValueError: the method has no vector per pixel."""
        answers = "hierarchy, partition, propose, click and session"
        raise cannot_answer(self.name, "embed", answers=answers)

    def hierarchy(self, image: ImageLike) -> MergeTree:
        """Return the method's tree."""
        return self._last.get(checked_image(image), self.peer.tree)

    def partition(self, image: ImageLike, regions: int) -> Int32[np.ndarray, "h w"]:
        """Return the tree's partition into exactly `regions`."""
        return self.hierarchy(image).partition(regions)

    def scales(self, image: ImageLike, counts: Sequence[int]) -> Iterator[Int32[np.ndarray, "h w"]]:
        """Yield the cuts at the peer's heights, or the partitions into `counts` regions."""
        tree = self.hierarchy(image)
        for height in self.peer.heights:
            yield tree.cut(height)
        if not self.peer.heights:
            yield from (tree.partition(min(count, tree.max_regions)) for count in counts)

    def propose(self, image: ImageLike, limit: int = 100) -> Proposals:
        """Return the regions of the tree, as the peer ranks them."""
        return self.peer.propose(self.hierarchy(image), limit=limit)

    def click(self, image: ImageLike, clicks: Sequence[ClickLike]) -> Bool[np.ndarray, "h w"]:
        """Return the mask that the clicks describe, whatever their order."""
        tree = self.hierarchy(image)
        return self.peer.click(tree, some_clicks(clicks, tree.size_hw))

    def session(
        self, image: ImageLike, start: Bool[np.ndarray, "h w"] | None = None
    ) -> ClickSession:
        """Return clicks on the image to add, undo, save and load; no start mask can be given."""
        return masks_only_session(self, checked_image(image), start)


def masks_only_session(
    model: Segmenter, image: UInt8[np.ndarray, "h w 3"], start: Bool[np.ndarray, "h w"] | None
) -> ClickSession:
    """Return the session of a model that answers masks, not maps: it has no settings."""

    def answer(
        clicks: Sequence[Click],
        *,
        level: float,
        start: Bool[np.ndarray, "h w"] | None,
        rule: str,
    ) -> Bool[np.ndarray, "h w"]:
        if level != 0.5 or start is not None or rule != "claims":
            raise ValueError(f"{model.name} answers masks, not maps: no level, start mask or rule")
        return model.click(image, clicks) if clicks else np.zeros(image.shape[:2], bool)

    return ClickSession(image, answer, model=model.name, start=start)


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


def some_clicks(clicks: Sequence[ClickLike], size_hw: tuple[int, int]) -> list[Click]:
    """Return the clicks as records; ValueError for none and for one outside the image."""
    if len(clicks) == 0:
        raise ValueError("no clicks; give at least one (x, y, positive)")
    return checked_clicks(clicks, size_hw)


class _LastImage(Generic[Value]):
    """What was computed for the image asked about last; another process begins with nothing."""

    def __init__(self) -> None:
        self._known: tuple[bytes, Value] | None = None

    def __reduce__(self) -> tuple[type["_LastImage[Value]"], tuple[()]]:
        """Pickle without what is remembered: it may hold locks, and is larger than the model."""
        return type(self), ()

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
