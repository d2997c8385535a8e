"""maskspace: a mask-based feature space, trained, measured and shipped by one workflow."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maskspace.segmenter import Segmenter

__all__ = ["load"]
__version__ = "0.1.0"


def load(name: str) -> "Segmenter":
    """Return a model by bundled name, folder, or registry URI such as `models:/NAME@champion`.

    Example:
        >>> import numpy as np
        >>> model = load("student")
        >>> image = np.zeros((32, 48, 3), np.uint8)
        >>> model.partition(image, regions=4).max()
        np.int32(4)
    """
    from maskspace.segmenter.loading import load as load_segmenter  # torch is slow to import

    return load_segmenter(name)
