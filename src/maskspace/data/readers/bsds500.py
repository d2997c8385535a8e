"""BSDS500 (Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161): photos, each with several annotators.

Two layouts are read. Ours: `SPLIT/images/ID.jpg` beside `SPLIT/groundTruth/ID_aK.png`, the label
map of annotator K. As published: `images/SPLIT/ID.jpg` beside `groundTruth/SPLIT/ID.mat`, with all
annotators in one file. SPLIT is train, val or test. The masks of annotator K are in layer K.
"""

import io
import re
import zlib
from functools import partial

import numpy as np
from jaxtyping import Int64
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from maskspace.data.annotations import CONTAINMENT, annotate_coded
from maskspace.data.images import read_image
from maskspace.data.listings import (
    NoSplitError,
    check_split,
    dataset_root,
    distinct_keys,
    files_by_stem,
    inside,
)
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import read_file, read_label_map
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.types import Sample

SPLITS = ("train", "val", "test")

#: Split, image, and the folder of its truth.
PhotoFiles = tuple[str, AnyPath, AnyPath]

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


def read_bsds500(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image, with the masks of each annotator in a layer of its own.

    Every label of every annotator is a mask. A mask that two annotators drew exactly alike is there
    twice, once in each layer. The parent of a mask may be in another layer.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" (default None: all three).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError where no image is found (NoSplitError), and, when a sample is made, for an
    image without an annotator and for a label map of another size than its image.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6), 1)  # 8 columns, 6 rows
        >>> mask.paste(2, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("val/images/a.jpg", photo), ("val/groundTruth/a_a0.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_bsds500(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('val',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24, 24])
    """
    check_split("bsds500", split, SPLITS)
    folder = dataset_root(root)
    photos = _photos(folder)
    splits_there = {photo_split for photo_split, _, _ in photos}
    chosen = tuple(photo for photo in photos if split in (None, photo[0]))
    if not chosen:
        raise NoSplitError(
            f"{root}: no {split or '|'.join(SPLITS)}/images/*.jpg, nor as published "
            "images/SPLIT/*.jpg; correct the root or the split",
            splits_there,
        )
    keys = distinct_keys(
        [(path.stem, f"{photo_split}-{path.stem}") for photo_split, path, _ in chosen]
    )[:limit]
    chosen = chosen[:limit]
    return Source(
        keys=keys,
        splits=tuple(photo_split for photo_split, _, _ in chosen),
        read=partial(_sample, root=folder, photos=chosen, keys=keys, containment=containment),
    )


def _photos(root: AnyPath) -> list[PhotoFiles]:
    """Return the split, the image and the folder of the truth of every photo, split by split.

    Looked for are our layout in the root, and the published one in the root, in `BSDS500/data`, in
    `BSR/BSDS500/data` and in `data`. For each split the first layout that has images counts.
    """
    tops = [root, root / "data", root / "BSDS500" / "data", root / "BSR" / "BSDS500" / "data"]
    photos: list[PhotoFiles] = []
    for split in SPLITS:
        places = [(root / split / "images", root / split / "groundTruth")]
        places += [(top / "images" / split, top / "groundTruth" / split) for top in tops]
        for images, truth in places:
            paths = files_by_stem(images, "*.jp*g").values()
            photos += [(split, path, truth) for path in paths]
            if paths:
                break
    return photos


def _sample(
    index: int,
    *,
    root: AnyPath,
    photos: tuple[PhotoFiles, ...],
    keys: tuple[str, ...],
    containment: float,
) -> Sample:
    split, path, truth = photos[index]
    image = read_image(path)
    coded = [
        one
        for layer, labels in annotator_label_maps(path, truth, image.size_hw).items()
        for one in coded_label_map(labels, layer=layer)
    ]
    return Sample(
        key=keys[index],
        dataset="bsds500",
        image=image.encoded,
        extension=image.extension,
        size_hw=image.size_hw,
        annotations=annotate_coded(coded, image.size_hw, containment=containment),
        split=split,
        licence="non-commercial research and education",
        source=inside(path, root),
    )


def annotator_label_maps(
    image: AnyPath, truth: AnyPath, size_hw: tuple[int, int]
) -> dict[int, Int64[np.ndarray, "h w"]]:
    """Return the label map of each annotator of an image, by the annotator's number, ascending.

    Args:
        image: path of the image; only its name counts.
        truth: folder with one PNG an annotator (`ID_aK.png`), or with one MATLAB file (`ID.mat`).
        size_hw: rows and columns of the image, which every label map has to have.

    Raises ValueError where neither is there, and for a label map of another size.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> for number in (0, 2):
        ...     Image.new("L", (8, 6), 1 + number).save(root / f"a_a{number}.png")
        >>> maps = annotator_label_maps(root / "a.jpg", root, (6, 8))
        >>> {annotator: labels.max().item() for annotator, labels in maps.items()}
        {0: 1, 2: 3}
    """
    number = re.compile(rf"{re.escape(image.stem)}_a(\d+)\.png", re.IGNORECASE)
    files = truth.iterdir() if truth.is_dir() else ()
    paths = {int(match[1]): path for path in files if (match := number.fullmatch(path.name))}
    if paths:
        return {layer: read_label_map(paths[layer], size_hw) for layer in sorted(paths)}
    published = truth / f"{image.stem}.mat"
    if not published.is_file():
        raise ValueError(
            f"{truth}/{image.stem}_a0.png: missing, and so is {published.name}; every image needs "
            "an annotator"
        )
    maps = dict(enumerate(annotator_maps(read_file(published), name=str(published))))
    for layer, labels in maps.items():
        if labels.shape != size_hw:
            raise ValueError(
                f"{published}: annotator {layer} drew {labels.shape}, its image is {size_hw} "
                "(h, w); pair them again"
            )
    return maps


def annotator_maps(content: bytes, *, name: str) -> list[Int64[np.ndarray, "h w"]]:
    """Return the label map of each annotator in a MATLAB file as published, ids from 1.

    Args:
        content: the bytes of the file; its variable `groundTruth` has a cell for each annotator,
            with the label map `Segmentation`.
        name: the name of the file in errors.

    Raises ValueError that starts with `name` for a file that is not like that.

    Example:
        >>> from scipy.io import savemat
        >>> cells = np.empty((1, 1), object)
        >>> cells[0, 0] = {"Segmentation": np.array([[1, 1, 2]], np.uint16)}
        >>> file = io.BytesIO()
        >>> savemat(file, {"groundTruth": cells})
        >>> [labels.tolist() for labels in annotator_maps(file.getvalue(), name="a.mat")]
        [[[1, 1, 2]]]
    """
    try:
        cells = loadmat(io.BytesIO(content), variable_names=["groundTruth"])["groundTruth"]
        maps = [np.asarray(cell["Segmentation"][0, 0]) for cell in cells.reshape(-1)]
    except _UNREADABLE as error:
        raise ValueError(
            f"{name}: not as BSDS500 publishes it ({error}); fetch the archive again"
        ) from None
    for labels in maps:
        if labels.ndim != 2 or labels.dtype.kind not in "iu" or not labels.size or labels.min() < 1:
            raise ValueError(f"{name}: no label map with ids from 1; fetch the archive again")
    return [labels.astype(np.int64) for labels in maps]
