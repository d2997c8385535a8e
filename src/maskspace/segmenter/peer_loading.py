"""From a peer's name to a loaded model."""

from maskspace.loaded import Segmenter
from maskspace.peers.finding import find_peer
from maskspace.peers.kinds import EmbeddingPeer, TreePeer
from maskspace.segmenter.embedding import EmbeddingSegmenter
from maskspace.segmenter.peer import PeerSegmenter
from maskspace.segmenter.tree_peer import TreePeerSegmenter


def load_peer(name: str, *, device: str = "cpu") -> Segmenter | None:
    """Return a peer by name, such as `felzenszwalb@scale=200`; None if no peer is called so.

    Example:
        >>> load_peer("lab").name, load_peer("student")
        ('lab', None)
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
    return None if peer is None else PeerSegmenter(name, peer)


def _embedding_of(name: str, peer: EmbeddingPeer) -> EmbeddingSegmenter:
    module = peer.network()
    return EmbeddingSegmenter(
        name,
        module,
        levels=(module.stride,),
        max_side=module.side,
        contrast=module.contrast,
    )
