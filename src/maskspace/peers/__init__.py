"""Other people's methods behind our protocols, measured on the same harness.

A method is asked for by name, alone or with options: `felzenszwalb@scale=200,min_size=50`. So that
one run can compare values of a parameter, every value has a name of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from inspect import Parameter
from typing import TypeVar, cast

import numpy as np
from jaxtyping import Int32
from torch import nn

from maskspace.config import bind_texts, keyword_options
from maskspace.partition.merge_tree import MergeTree
from maskspace.peers.automatic_masks import automatic_masks
from maskspace.peers.dinov2 import PatchFeatures, dinov2
from maskspace.peers.felzenszwalb import (
    felzenszwalb_proposals,
    felzenszwalb_regions,
    felzenszwalb_scales,
)
from maskspace.peers.flood_fill import flood_fill
from maskspace.peers.gpb_owt_ucm import THRESHOLDS, gpb_owt_ucm
from maskspace.peers.grabcut import grabcut
from maskspace.peers.normalized_cuts import normalized_cuts
from maskspace.peers.otsu_watershed import otsu_watershed
from maskspace.peers.prompted import PromptedNetwork, clicked_mask
from maskspace.peers.random_walker import random_walker
from maskspace.peers.rankings import RANKINGS
from maskspace.peers.sam import sam, sam_hq
from maskspace.peers.sam2 import sam2
from maskspace.peers.slic_merging import slic_merging
from maskspace.peers.tree_answers import (
    TreeClick,
    TreeProposer,
    ranked_regions,
    regions_under,
)
from maskspace.peers.watershed import watershed
from maskspace.types import ClickMethod, Proposer

Method = TypeVar("Method", bound=Callable[..., object])

__all__ = [
    "PEERS",
    "AnyPeer",
    "EmbeddingPeer",
    "Peer",
    "TreePeer",
    "find_peer",
    "option_texts",
]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method that turns an image into proposals, or answers clicks on it, or both.

    `ranking` is what decides the order of its proposals, for tables; `scales` are its partitions.
    `network` reads the weights of a method that has any, and is called before the first image so
    that what is wrong with them is said at once; each function then takes those of the options
    that it has.
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
    """

    tree: Callable[..., MergeTree]
    propose: TreeProposer = ranked_regions
    click: TreeClick = regions_under
    ranking: str = RANKINGS["persistence"]
    heights: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EmbeddingPeer:
    """A published network whose features are an embedding, from whose tree everything follows."""

    network: Callable[..., PatchFeatures]


AnyPeer = Peer | TreePeer | EmbeddingPeer


def find_peer(name: str, *, device: str = "cpu") -> AnyPeer | None:
    """Return the peer of a name such as `flood-fill` or `flood-fill@tolerance=20`, or None.

    Options are the keyword-only parameters of the functions that answer for the peer. Where it has
    a tree or a network, each function takes those that it has; otherwise one that lacks one of
    those given does not answer. `device` is where a network is, if the name does not say. Raises
    ValueError for an option that no function has or that is missing and has no default, and for a
    value that is none of its kind.
    """
    base, at, text = name.partition("@")
    peer = PEERS.get(base)
    if peer is None:
        return None
    options = option_texts(text, place=name) if at else {}
    for option in options.keys() - _known(peer):
        takes = ", ".join(sorted(_known(peer)))
        raise ValueError(f"{name}: unknown option {option!r}; {base} takes {takes}")
    _check_complete(peer, options, place=name)
    if "device" in _known(peer):
        options = {"device": device, **options}
    if not options:
        return peer
    if isinstance(peer, EmbeddingPeer):
        return replace(peer, network=_share(peer.network, options, place=name))
    if isinstance(peer, TreePeer):
        return replace(
            peer,
            tree=_share(peer.tree, options, place=name),
            propose=_share(peer.propose, options, place=name),
            click=_share(peer.click, options, place=name),
            ranking=_ranking(peer, options),
        )
    if peer.network is not None:
        return replace(
            peer,
            network=_share(peer.network, options, place=name),
            propose=_share(peer.propose, options, place=name) if peer.propose else None,
            click=_share(peer.click, options, place=name) if peer.click else None,
            ranking=_ranking(peer, options),
        )
    return replace(
        peer,
        propose=_bound(peer.propose, options, place=name),
        click=_bound(peer.click, options, place=name),
        scales=_bound(peer.scales, options, place=name),
        ranking=_ranking(peer, options),
    )


def _check_complete(peer: AnyPeer, options: dict[str, str], *, place: str) -> None:
    """Raise ValueError where an option without a default is not given."""
    defaults = {k: v for f in _functions(peer) for k, v in keyword_options(f).items()}
    missing = [name for name, value in defaults.items() if value is Parameter.empty]
    if not options.keys() >= set(missing):
        asked = ",".join(f"{name}=..." for name in missing)
        raise ValueError(f"{place}: give {place.partition('@')[0]}@{asked}; these have no default")


def _share(function: Method, options: dict[str, str], *, place: str) -> Method:
    """Return the function with those of the options that it has."""
    own = {k: v for k, v in options.items() if k in keyword_options(function)}
    return bind_texts(function, own, place=place)


def _ranking(peer: Peer | TreePeer, options: dict[str, str]) -> str:
    """Return the ranking that the option of this name asks for, in words."""
    return RANKINGS[options["ranking"]] if "ranking" in options else peer.ranking


def option_texts(text: str, *, place: str) -> dict[str, str]:
    """Return OPTION=VALUE,... as a dictionary."""
    options: dict[str, str] = {}
    for pair in text.split(","):
        option, _, value = pair.partition("=")
        if not (option and value) or option in options:
            raise ValueError(f"{place}: expected NAME@OPTION=VALUE,... with each option once")
        options[option] = value
    return options


def _known(peer: AnyPeer) -> set[str]:
    """Return the options of a peer; the number of proposals is no choice of the name."""
    return {name for f in _functions(peer) for name in keyword_options(f)} - {"limit"}


def _functions(peer: AnyPeer) -> list[Callable[..., object]]:
    """Return the functions that answer for a peer."""
    if isinstance(peer, EmbeddingPeer):
        return [peer.network]
    if isinstance(peer, TreePeer):
        return [peer.tree, peer.propose, peer.click]
    return [f for f in (peer.network, peer.propose, peer.click) if f is not None]


def _bound(function: Method | None, options: dict[str, str], *, place: str) -> Method | None:
    if function is None or not options.keys() <= keyword_options(function).keys():
        return None
    return bind_texts(function, options, place=place)


def _of_sam_family(
    network: Callable[..., PromptedNetwork], *, pred_iou_thresh: float = 0.88
) -> Peer:
    """Return the peer that asks a network of this family; a name must say `weights`."""
    propose = partial(automatic_masks, network, pred_iou_thresh=pred_iou_thresh)
    return Peer(
        network=network,
        propose=cast("Proposer", propose),
        click=cast("ClickMethod", partial(clicked_mask, network)),
        ranking=RANKINGS["predicted_iou"],
    )


PEERS: dict[str, AnyPeer] = {
    "dinov2": EmbeddingPeer(network=dinov2),
    "felzenszwalb": Peer(
        propose=felzenszwalb_proposals,
        click=felzenszwalb_regions,
        scales=felzenszwalb_scales,
        ranking=RANKINGS["area"],
    ),
    "flood-fill": Peer(click=flood_fill),
    "gpb-owt-ucm": TreePeer(tree=gpb_owt_ucm, heights=THRESHOLDS),
    "grabcut": Peer(click=grabcut),
    "normalized-cuts": TreePeer(tree=normalized_cuts),
    "otsu-watershed": Peer(propose=otsu_watershed, ranking=RANKINGS["area"]),
    "random-walker": Peer(click=random_walker),
    "sam": _of_sam_family(sam),
    "sam-hq": _of_sam_family(sam_hq),
    "sam2": _of_sam_family(sam2, pred_iou_thresh=0.8),
    "slic-merging": TreePeer(tree=slic_merging),
    "watershed": TreePeer(tree=watershed),
}
