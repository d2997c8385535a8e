"""What `maskspace.load` returns: one interface to the student, the teacher and the peers.

Each kind answers it from a source of its own, a file each: a pixel embedding (`embedding`) or a
method with a merge tree (`tree_peer`), where all else follows from the tree; a click model
(`click`), with proposals from a grid of clicks; a source of proposals or of clicks (`peer`).
What a kind has no answer to is a ValueError that says so.
"""

from maskspace.segmenter.click import CLICK_RANKINGS, ClickSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter, decoder_of, redecoded
from maskspace.segmenter.loading import bundled_models, load, wrap
from maskspace.segmenter.peer import PeerSegmenter
from maskspace.segmenter.protocol import ImageLike, Segmenter
from maskspace.segmenter.questions import checked_image
from maskspace.segmenter.tree_peer import TreePeerSegmenter

__all__ = [
    "CLICK_RANKINGS",
    "ClickSegmenter",
    "EmbeddingSegmenter",
    "ImageLike",
    "PeerSegmenter",
    "Segmenter",
    "TreePeerSegmenter",
    "bundled_models",
    "checked_image",
    "decoder_of",
    "load",
    "redecoded",
    "wrap",
]
