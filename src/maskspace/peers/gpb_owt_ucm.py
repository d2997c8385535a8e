"""gPb-OWT-UCM, read from the files that its authors published.

Arbelaez, Maire, Fowlkes and Malik 2011 (doi:10.1109/TPAMI.2010.161). A file `ID.mat` holds one
array `ucm2` of 2h+1 by 2w+1: pixels at odd rows and columns, between two pixels the strength of the
contour there, in [0, 1], and at a corner the greatest of the four that meet. The benchmark's
regions at a threshold t are the 8-connected pieces of `ucm2 <= t`, seen at the pixels; as a corner
is open only where all four contours are, that is the tree's cut at t (heights are rounded to single
precision). The rim lies outside of all pixels and is not looked at. The files say nothing of the
image; which one is asked about is found by its pixels.
"""

import hashlib
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Shaped, UInt8
from pydantic import DirectoryPath
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from maskspace.partition.merge_tree import MergeTree
from maskspace.peers.kinds import TreePeer
from maskspace.peers.linked_tree import tree_of_contours
from maskspace.types import read_rgb

#: Strengths of contour at which the benchmark cuts.
THRESHOLDS = tuple(step / 100 for step in range(1, 100))
_SUFFIXES = (".jpg", ".jpeg", ".png")
#: What a damaged or foreign file makes scipy's reader raise.
_UNREADABLE = (
    OSError, EOFError, ValueError, TypeError, KeyError, IndexError, NotImplementedError,
    OverflowError, MemoryError, MatReadError, zlib.error,
)  # fmt: skip


def gpb_owt_ucm(
    image: UInt8[np.ndarray, "h w 3"], *, folder: DirectoryPath, images: DirectoryPath
) -> MergeTree:
    """Return the tree of an image's file `ID.mat` in `folder`.

    `images` holds the photos ID.jpg that the files are of, and must hold this one, pixel for pixel.
    Raises ValueError if it does not, and for a file that is no such array of the image's size.
    """
    found = [
        stem
        for stem in _stems(images).get(_digest(image), ())
        if (folder / f"{stem}.mat").is_file()
    ]
    if not found:
        raise ValueError(
            f"gpb-owt-ucm: no photo of {images} that has a file .mat in {folder} equals this image "
            f"of {image.shape[1]} x {image.shape[0]} pixels"
        )
    path = folder / f"{found[0]}.mat"
    tree = contour_tree(read_ucm2(path), place=str(path))
    if tree.size_hw != image.shape[:2]:
        raise ValueError(
            f"{path}: ucm2 is of an image of {tree.size_hw} rows and columns; the photo has "
            f"{image.shape[:2]}"
        )
    return tree


def read_ucm2(path: Path) -> Float64[np.ndarray, "rows columns"]:
    """Return the array `ucm2` of a file; ValueError, naming it, if there is none.

    Example:
        >>> import tempfile
        >>> from scipy.io import savemat
        >>> path = Path(tempfile.mkdtemp(), "1.mat")
        >>> savemat(path, {"ucm2": np.zeros((5, 9))})
        >>> read_ucm2(path).shape
        (5, 9)
    """
    try:
        stored = loadmat(path, variable_names=["ucm2"]).get("ucm2")
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be read as a MATLAB file ({reason})") from None
    if not isinstance(stored, np.ndarray) or stored.ndim != 2 or stored.dtype.kind not in "fiu":
        raise ValueError(f"{path}: holds no matrix of numbers named ucm2")
    return stored.astype(np.float64)


def contour_tree(ucm2: Float64[np.ndarray, "rows columns"], *, place: str) -> MergeTree:
    """Return the tree of a contour map on the doubled grid; errors begin with `place`.

    Example:
        >>> ucm2 = np.zeros((5, 9))  # 2 x 4 pixels on the doubled grid
        >>> ucm2[:, 4] = 0.5  # a contour in the middle
        >>> contour_tree(ucm2, place="example").partition(2).tolist()
        [[1, 1, 2, 2], [1, 1, 2, 2]]
    """
    rows, columns = ucm2.shape
    if rows % 2 == 0 or columns % 2 == 0 or min(rows, columns) < 3:
        raise ValueError(
            f"{place}: ucm2 is {rows} x {columns}; a doubled grid has 2h+1 rows and 2w+1 columns"
        )
    if not (np.isfinite(ucm2).all() and ucm2.min() >= 0 and ucm2.max() <= 1):
        raise ValueError(f"{place}: ucm2 holds values outside 0..1; contour strengths lie there")
    right, down, corner = ucm2[1::2, 2:-1:2], ucm2[2:-1:2, 1::2], ucm2[2:-1:2, 2:-1:2]
    if ucm2[1::2, 1::2].any():
        raise ValueError(f"{place}: ucm2 has contours on pixels; they lie between them")
    meeting = (right[:-1], right[1:], down[:, :-1], down[:, 1:])
    if any((corner < one).any() for one in meeting):
        raise ValueError(f"{place}: ucm2 has a corner weaker than a contour that meets there")
    return tree_of_contours(right, down, size_hw=(rows // 2, columns // 2))


@lru_cache(maxsize=4)
def _stems(images: Path) -> dict[bytes, list[str]]:
    """Return the names of a folder's photos by the digest of their pixels."""
    stems: dict[bytes, list[str]] = {}
    for path in sorted(images.iterdir()):
        if path.suffix.lower() in _SUFFIXES:
            stems.setdefault(_digest(read_rgb(str(path))), []).append(path.stem)
    return stems


def _digest(image: Shaped[np.ndarray, "h w 3"]) -> bytes:
    return hashlib.blake2b(
        repr(image.shape).encode() + np.ascontiguousarray(image).tobytes(), digest_size=16
    ).digest()


GPB_OWT_UCM = TreePeer(tree=gpb_owt_ucm, heights=THRESHOLDS)
