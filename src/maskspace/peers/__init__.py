"""Other people's methods behind our protocols, measured on the same harness.

A method is asked for by name, alone or with options: `felzenszwalb@scale=200,min_size=50`. So that
one run can compare values of a parameter, every value has a name of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import TypeVar

import numpy as np
from jaxtyping import Int32

from maskspace.config import bind_texts, keyword_options
from maskspace.partition.merge_tree import MergeTree
from maskspace.peers.felzenszwalb import (
    felzenszwalb_proposals,
    felzenszwalb_regions,
    felzenszwalb_scales,
)
from maskspace.peers.flood_fill import flood_fill
from maskspace.peers.gpb_owt_ucm import THRESHOLDS, gpb_owt_ucm
from maskspace.peers.grabcut import grabcut
from maskspace.peers.normalized_cuts import normalized_cuts
from maskspace.peers.random_walker import random_walker
from maskspace.peers.rankings import RANKINGS
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

__all__ = ["PEERS", "Peer", "TreePeer", "find_peer", "option_texts"]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method that turns an image into proposals, or answers clicks on it, or both.

    `ranking` is what decides the order of its proposals, for tables; `scales` are its partitions.
    """

    propose: Proposer | None = None
    click: ClickMethod | None = None
    scales: Callable[..., Iterator[Int32[np.ndarray, "h w"]]] | None = None
    ranking: str = "no proposals"


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


def find_peer(name: str) -> Peer | TreePeer | None:
    """Return the peer of a name such as `flood-fill` or `flood-fill@tolerance=20`, or None.

    Options are the keyword-only parameters of the functions that answer for the peer. Where it has
    a tree, each function takes those that it has; otherwise one that lacks one of those given does
    not answer. Raises ValueError for an option that no function has or that is missing and has no
    default, and for a value that is none of its kind.
    """
    base, at, text = name.partition("@")
    peer = PEERS.get(base)
    if peer is None:
        return None
    options = option_texts(text, place=name) if at else {}
    for option in options.keys() - _known(peer):
        takes = ", ".join(sorted(_known(peer)))
        raise ValueError(f"{name}: unknown option {option!r}; {base} takes {takes}")
    if isinstance(peer, TreePeer):
        return _bound_tree(peer, options, place=name)
    if not at:
        return peer
    return replace(
        peer,
        propose=_bound(peer.propose, options, place=name),
        click=_bound(peer.click, options, place=name),
        scales=_bound(peer.scales, options, place=name),
        ranking=_ranking(peer, options),
    )


def _bound_tree(peer: TreePeer, options: dict[str, str], *, place: str) -> TreePeer:
    defaults = keyword_options(peer.tree)
    missing = [name for name, value in defaults.items() if value is Parameter.empty]
    if not options.keys() >= set(missing):
        asked = ",".join(f"{name}=..." for name in missing)
        raise ValueError(f"{place}: give {place.partition('@')[0]}@{asked}; these have no default")
    if not options:
        return peer

    def share(function: Method) -> Method:
        own = {k: v for k, v in options.items() if k in keyword_options(function)}
        return bind_texts(function, own, place=place)

    return replace(
        peer,
        tree=share(peer.tree),
        propose=share(peer.propose),
        click=share(peer.click),
        ranking=_ranking(peer, options),
    )


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


def _known(peer: Peer | TreePeer) -> set[str]:
    """Return the options of a peer; the number of proposals is no choice of the name."""
    functions = [peer.propose, peer.click, *([peer.tree] if isinstance(peer, TreePeer) else [])]
    return {name for f in functions if f for name in keyword_options(f)} - {"limit"}


def _bound(function: Method | None, options: dict[str, str], *, place: str) -> Method | None:
    if function is None or not options.keys() <= keyword_options(function).keys():
        return None
    return bind_texts(function, options, place=place)


PEERS: dict[str, Peer | TreePeer] = {
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
    "random-walker": Peer(click=random_walker),
    "slic-merging": TreePeer(tree=slic_merging),
    "watershed": TreePeer(tree=watershed),
}
