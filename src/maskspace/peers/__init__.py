"""Other people's methods behind our protocols, measured on the same harness."""

from dataclasses import dataclass

from maskspace.peers.felzenszwalb import RANKING, felzenszwalb_proposals
from maskspace.types import Proposer

__all__ = ["PEERS", "Peer"]


@dataclass(frozen=True)
class Peer:
    """A method that turns an image into proposals, and what decides their order, for tables."""

    propose: Proposer
    ranking: str


PEERS: dict[str, Peer] = {"felzenszwalb": Peer(felzenszwalb_proposals, RANKING)}
