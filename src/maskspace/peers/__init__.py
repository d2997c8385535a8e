"""Other people's methods behind our protocols, measured on the same harness; PEERS by name."""

from maskspace.peers.dinov2 import DINOV2
from maskspace.peers.felzenszwalb import FELZENSZWALB
from maskspace.peers.flood_fill import FLOOD_FILL
from maskspace.peers.gpb_owt_ucm import GPB_OWT_UCM
from maskspace.peers.grabcut import GRABCUT
from maskspace.peers.hed import HED
from maskspace.peers.kinds import AnyPeer
from maskspace.peers.lab import LAB
from maskspace.peers.normalized_cuts import NORMALIZED_CUTS
from maskspace.peers.otsu_watershed import OTSU_WATERSHED
from maskspace.peers.random_walker import RANDOM_WALKER
from maskspace.peers.sam import SAM, SAM_HQ
from maskspace.peers.sam2 import SAM2
from maskspace.peers.slic_merging import SLIC_MERGING
from maskspace.peers.watershed import WATERSHED

__all__ = ["PEERS"]

#: Each entry is a name of its own file, so that a stage depends on the peers alone that it asks.
PEERS: dict[str, AnyPeer] = {
    "dinov2": DINOV2,
    "felzenszwalb": FELZENSZWALB,
    "flood-fill": FLOOD_FILL,
    "gpb-owt-ucm": GPB_OWT_UCM,
    "grabcut": GRABCUT,
    "hed": HED,
    "lab": LAB,
    "normalized-cuts": NORMALIZED_CUTS,
    "otsu-watershed": OTSU_WATERSHED,
    "random-walker": RANDOM_WALKER,
    "sam": SAM,
    "sam-hq": SAM_HQ,
    "sam2": SAM2,
    "slic-merging": SLIC_MERGING,
    "watershed": WATERSHED,
}
