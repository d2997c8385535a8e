"""maskspace: a mask-based feature space, trained, measured and shipped by one workflow."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskspace.segmenter import Segmenter

__all__ = ["load"]
__version__ = "0.1.0"


def load(name: str) -> "Segmenter":
    """Return a model by bundled name, folder, or registry URI such as `models:/NAME@champion`."""
    from maskspace.segmenter import load as load_segmenter  # torch is slow to import

    return load_segmenter(name)
