"""From a peer's name and the options in it to the peer.

A method is asked for by name, alone or with options: `felzenszwalb@scale=200,min_size=50`. So that
one run can compare values of a parameter, every value has a name of its own.
"""

from collections.abc import Callable
from dataclasses import replace
from inspect import Parameter
from typing import TypeVar

from maskspace.config import bind_texts, keyword_options, option_texts
from maskspace.peers import PEERS
from maskspace.peers.kinds import AnyPeer, EmbeddingPeer, Peer, TreePeer
from maskspace.peers.rankings import RANKINGS

Method = TypeVar("Method", bound=Callable[..., object])


def find_peer(name: str, *, device: str = "cpu") -> AnyPeer | None:
    """Return the peer of a name such as `flood-fill` or `flood-fill@tolerance=20`, or None.

    Options are the keyword-only parameters of the functions that answer for the peer. Where it has
    a tree or a network, each function takes those that it has; otherwise one that lacks one of
    those given does not answer. `device` is where a network is, if the name does not say. Raises
    ValueError for an option that no function has or that is missing and has no default, and for a
    value that is none of its kind.

    Example:
        >>> find_peer("felzenszwalb@scale=200").click is not None, find_peer("nobody")
        (True, None)
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
