"""Other people's methods behind our protocols, measured on the same harness.

A method is asked for by name, alone or with options: `felzenszwalb@scale=200,min_size=50`. So that
one run can compare values of a parameter, every value has a name of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from maskspace.config import bind_texts, keyword_options
from maskspace.peers.felzenszwalb import RANKING, felzenszwalb_proposals, felzenszwalb_regions
from maskspace.peers.flood_fill import flood_fill
from maskspace.peers.grabcut import grabcut
from maskspace.peers.random_walker import random_walker
from maskspace.types import ClickMethod, Proposer

Method = TypeVar("Method", bound=Callable[..., object])

__all__ = ["PEERS", "Peer", "find_peer"]


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A method that turns an image into proposals, or answers clicks on it, or both.

    `ranking` is what decides the order of its proposals, for tables.
    """

    propose: Proposer | None = None
    click: ClickMethod | None = None
    ranking: str = "no proposals"


def find_peer(name: str) -> Peer | None:
    """Return the peer of a name such as `flood-fill` or `flood-fill@tolerance=20`, or None.

    Options are the keyword-only parameters of the functions that answer for the peer; a function
    that lacks one of those given does not answer. Raises ValueError for an option that no function
    has, and for a value that is none of its kind.
    """
    base, at, text = name.partition("@")
    peer = PEERS.get(base)
    if peer is None or not at:
        return peer
    options = _split(text, place=name)
    for option in options.keys() - _known(peer):
        takes = ", ".join(sorted(_known(peer)))
        raise ValueError(f"{name}: unknown option {option!r}; {base} takes {takes}")
    return replace(
        peer,
        propose=_bound(peer.propose, options, place=name),
        click=_bound(peer.click, options, place=name),
    )


def _split(text: str, *, place: str) -> dict[str, str]:
    """Return OPTION=VALUE,... as a dictionary."""
    options: dict[str, str] = {}
    for pair in text.split(","):
        option, _, value = pair.partition("=")
        if not (option and value) or option in options:
            raise ValueError(f"{place}: expected NAME@OPTION=VALUE,... with each option once")
        options[option] = value
    return options


def _known(peer: Peer) -> set[str]:
    """Return the options of a peer; the number of proposals is no choice of the name."""
    functions = (peer.propose, peer.click)
    return {name for f in functions if f for name in keyword_options(f)} - {"limit"}


def _bound(function: Method | None, options: dict[str, str], *, place: str) -> Method | None:
    if function is None or not options.keys() <= keyword_options(function).keys():
        return None
    return bind_texts(function, options, place=place)


PEERS: dict[str, Peer] = {
    "felzenszwalb": Peer(
        propose=felzenszwalb_proposals, click=felzenszwalb_regions, ranking=RANKING
    ),
    "flood-fill": Peer(click=flood_fill),
    "grabcut": Peer(click=grabcut),
    "random-walker": Peer(click=random_walker),
}
