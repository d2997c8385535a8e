"""Peers that ask a network of the SAM family for every mask of an image, or answer its clicks."""

from collections.abc import Callable
from functools import partial
from typing import cast

from maskspace.peers.automatic_masks import automatic_masks
from maskspace.peers.kinds import Peer
from maskspace.peers.prompted import PromptedNetwork, clicked_mask
from maskspace.peers.rankings import RANKINGS
from maskspace.types import ClickMethod, Proposer


def of_sam_family(
    network: Callable[..., PromptedNetwork], *, pred_iou_thresh: float = 0.88
) -> Peer:
    """Return the peer that asks a network of this family; a name must say `weights`.

    Example:
        >>> from maskspace.peers.sam import sam
        >>> peer = of_sam_family(sam)
        >>> peer.click is not None, peer.propose is not None
        (True, True)
    """
    propose = partial(automatic_masks, network, pred_iou_thresh=pred_iou_thresh)
    return Peer(
        network=network,
        propose=cast("Proposer", propose),
        click=cast("ClickMethod", partial(clicked_mask, network)),
        ranking=RANKINGS["predicted_iou"],
    )
