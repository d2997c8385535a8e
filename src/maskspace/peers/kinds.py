"""What a peer is: proposals or clicks, a tree that all follows from, or an embedding."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32
from torch import nn

from maskspace.partition.merge_tree import MergeTree
from maskspace.peers.rankings import RANKINGS
from maskspace.peers.tree_answers import TreeClick, TreeProposer, ranked_regions, regions_under
from maskspace.types import ClickMethod, Proposer


class EmbeddingNetwork(nn.Module):
    """A network from images in [0, 1] to features in [0, 1], one level at `stride`.

    The longer side of an image is brought to about `side` pixels; differences of features times
    `contrast` use the whole of [0, 1].

    Example:
        >>> class Grey(EmbeddingNetwork):  # the mean colour of every pixel
        ...     stride, side, contrast = 1, 64, 1.0
        ...     def forward(self, image):
        ...         return {1: image.mean(1, keepdim=True)}
        >>> Grey().stride
        1
    """

    stride: int
    side: int
    contrast: float


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method that turns an image into proposals, or answers clicks on it, or both.

    `ranking` is what decides the order of its proposals, for tables; `scales` are its partitions.
    `network` reads the weights of a method that has any, and is called before the first image so
    that what is wrong with them is said at once; each function then takes those of the options
    that it has.

    Example:
        >>> Peer(propose=lambda image, *, limit=100: None).ranking
        'no proposals'
    """

    propose: Proposer | None = None
    click: ClickMethod | None = None
    scales: Callable[..., Iterator[Int32[np.ndarray, "h w"]]] | None = None
    ranking: str = "no proposals"
    network: Callable[..., nn.Module] | None = None


@dataclass(frozen=True, kw_only=True)
class TreePeer:
    """A method that makes nested partitions of an image, from which everything else follows.

    `tree` takes an image; its options that have no default must be given with the name. `ranking`
    is what decides the order of its proposals, for tables. With `heights` its partitions are the
    cuts there, else those into numbers of regions.

    Example:
        >>> from maskspace.peers.lab import lab_tree
        >>> TreePeer(tree=lab_tree).ranking
        'persistence in the merge tree, times the root of the area'
    """

    tree: Callable[..., MergeTree]
    propose: TreeProposer = ranked_regions
    click: TreeClick = regions_under
    ranking: str = RANKINGS["persistence"]
    heights: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EmbeddingPeer:
    """A published network whose features are an embedding, from whose tree everything follows.

    Example:
        >>> from maskspace.peers import PEERS
        >>> isinstance(PEERS["dinov2"], EmbeddingPeer)
        True
    """

    network: Callable[..., EmbeddingNetwork]


AnyPeer = Peer | TreePeer | EmbeddingPeer
