"""From BSDS500 as published to the layout of our reader: MATLAB files become label maps.

As published: `images/SPLIT/ID.jpg` beside `groundTruth/SPLIT/ID.mat`, which holds a cell for each
annotator with the label map `Segmentation`, ids from 1.
"""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from maskspace.data.readers.bsds500 import annotator_maps

SPLITS = ("train", "val", "test")


def arrange_bsds500(folder: Path) -> None:
    """Turn a published folder into `SPLIT/images/ID.jpg` and `SPLIT/groundTruth/ID_aK.png`.

    The folder is changed in place. K is the number of the annotator, from 0. Everything else in the
    folder is removed. Raises ValueError for a folder without images and for a MATLAB file that is
    not as published.

    Example:
        >>> import tempfile
        >>> from scipy.io import savemat
        >>> folder = Path(tempfile.mkdtemp())
        >>> for kind in ("images", "groundTruth"):
        ...     (folder / kind / "val").mkdir(parents=True)
        >>> Image.new("RGB", (3, 1)).save(folder / "images" / "val" / "7.jpg")
        >>> cells = np.empty((1, 1), object)  # one annotator
        >>> cells[0, 0] = {"Segmentation": np.array([[1, 1, 2]], np.uint16)}
        >>> savemat(folder / "groundTruth" / "val" / "7.mat", {"groundTruth": cells})
        >>> arrange_bsds500(folder)
        >>> sorted(path.relative_to(folder).as_posix() for path in folder.glob("val/*/*"))
        ['val/groundTruth/7_a0.png', 'val/images/7.jpg']
    """
    for split in SPLITS:
        photos = sorted((folder / "images" / split).glob("*.jpg"))
        for kind in ("images", "groundTruth"):
            (folder / split / kind).mkdir(parents=True)
        for photo in photos:
            truth = folder / "groundTruth" / split / f"{photo.stem}.mat"
            for number, labels in enumerate(annotator_maps(truth.read_bytes(), name=truth.name)):
                place = folder / split / "groundTruth" / f"{photo.stem}_a{number}.png"
                depth = np.uint8 if labels.max() < 256 else np.uint16
                Image.fromarray(labels.astype(depth)).save(place)
            photo.replace(folder / split / "images" / photo.name)
    if not any(folder.glob("*/images/*.jpg")):
        raise ValueError(f"{folder}: no images/SPLIT/*.jpg in the archive; it is not BSDS500")
    for entry in list(folder.iterdir()):
        if entry.name not in SPLITS:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
