"""From BSDS500 as published to the layout that our reader has: MATLAB files become label maps.

Published is `images/SPLIT/ID.jpg` beside `groundTruth/SPLIT/ID.mat`, which holds a cell for each
annotator with `Segmentation`, ids from 1.
"""

import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

SPLITS = ("train", "val", "test")
_UNREADABLE = (
    MatReadError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    NotImplementedError,
    zlib.error,
)


def arrange_bsds500(folder: Path) -> None:
    """Make `SPLIT/images/ID.jpg` and `SPLIT/groundTruth/ID_aK.png` of a published folder, in place.

    Whatever else is in the folder is removed. Raises ValueError for a file that is unlike those.
    """
    for split in SPLITS:
        photos = sorted((folder / "images" / split).glob("*.jpg"))
        for kind in ("images", "groundTruth"):
            (folder / split / kind).mkdir(parents=True)
        for photo in photos:
            truth = folder / "groundTruth" / split / f"{photo.stem}.mat"
            for number, labels in enumerate(annotator_maps(truth)):
                place = folder / split / "groundTruth" / f"{photo.stem}_a{number}.png"
                depth = np.uint8 if labels.max() < 256 else np.uint16
                Image.fromarray(labels.astype(depth)).save(place)
            photo.replace(folder / split / "images" / photo.name)
    if not any(folder.glob("*/images/*.jpg")):
        raise ValueError(f"{folder}: no images/SPLIT/*.jpg in the archive; it is not BSDS500")
    for entry in list(folder.iterdir()):
        if entry.name not in SPLITS:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def annotator_maps(path: Path) -> Iterator[Int64[np.ndarray, "h w"]]:
    """Yield the label map of each annotator, ids from 1; ValueError that names a bad file."""
    try:
        cells = loadmat(path, variable_names=["groundTruth"])["groundTruth"].reshape(-1)
        maps = [np.asarray(cell["Segmentation"][0, 0]) for cell in cells]
    except _UNREADABLE as error:
        raise ValueError(
            f"{path.name}: not as BSDS500 publishes it ({error}); fetch the archive again"
        ) from None
    for labels in maps:
        if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 1:
            raise ValueError(f"{path.name}: no label map with ids from 1; fetch the archive again")
        yield labels.astype(np.int64)
