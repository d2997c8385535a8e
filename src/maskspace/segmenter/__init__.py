"""What `maskspace.load` returns: one interface to the student, the teacher and the peers.

Each kind answers it from a source of its own, a file each: a pixel embedding (`embedding`) or a
method with a merge tree (`tree_peer`), where all else follows from the tree; a click model
(`click`), with proposals from a grid of clicks; a source of proposals or of clicks (`peer`).
What a kind has no answer to is a ValueError that says so.

What knows the peers is asked for by its file (`loading`, `peer`, `tree_peer`), so that a model
that is served brings neither them nor what they import.
"""

from maskspace.loaded import ImageLike, Segmenter
from maskspace.segmenter.click import CLICK_RANKINGS, ClickSegmenter
from maskspace.segmenter.embedding import EmbeddingSegmenter, decoder_of, redecoded
from maskspace.segmenter.questions import checked_image, told_smaller
from maskspace.segmenter.wrapping import wrap

__all__ = [
    "CLICK_RANKINGS",
    "ClickSegmenter",
    "EmbeddingSegmenter",
    "ImageLike",
    "Segmenter",
    "checked_image",
    "decoder_of",
    "redecoded",
    "told_smaller",
    "wrap",
]
