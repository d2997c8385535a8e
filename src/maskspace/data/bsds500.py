"""BSDS500 (Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161): photos, each with several annotators.

Layout: `SPLIT/images/ID.jpg` and `SPLIT/groundTruth/ID_aK.png`, the label map of annotator K.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int64
from PIL import Image

from maskspace.data.annotations import CONTAINMENT, annotate
from maskspace.data.images import image_size_hw
from maskspace.data.source import Source
from maskspace.masks import from_label_map
from maskspace.types import Sample

SPLITS = ("train", "val", "test")


def read_bsds500(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample an image, with the masks of all its annotators, exact duplicates dropped.

    Only the images of `split` if it is given. `annotator_label_maps` gives the annotators apart.
    """
    if split is not None and split not in SPLITS:
        raise ValueError(f"bsds500: split {split!r} is unknown; choose one of {', '.join(SPLITS)}")
    chosen = [s for s in SPLITS if split in (None, s)]
    paths = [path for s in chosen for path in sorted((Path(root) / s / "images").glob("*.jpg"))]
    if not paths:
        raise ValueError(
            f"{root}: no {'|'.join(chosen)}/images/*.jpg; correct the root or the split"
        )
    kept = tuple(paths[:limit])
    return Source(
        keys=tuple(path.stem for path in kept),
        splits=tuple(path.parts[-3] for path in kept),
        read=partial(_sample, paths=kept, containment=containment),
    )


def _sample(index: int, *, paths: tuple[Path, ...], containment: float) -> Sample:
    path = paths[index]
    image = path.read_bytes()
    size_hw = image_size_hw(image, name=str(path))
    maps = annotator_label_maps(path, size_hw)
    masks = np.concatenate([from_label_map(labels)[1] for labels in maps])
    return Sample(
        key=path.stem,
        dataset="bsds500",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate(masks, containment=containment),
        split=path.parts[-3],
        licence="non-commercial research and education",
        source=f"{path.parts[-3]}/{path.name}, {len(maps)} annotators",
    )


def annotator_label_maps(image: Path, size_hw: tuple[int, int]) -> list[Int64[np.ndarray, "h w"]]:
    """Return the label map of each annotator of an image, in their order."""
    folder = image.parent.parent / "groundTruth"
    number = re.compile(rf"{re.escape(image.stem)}_a(\d+)\.png")
    found = [
        (int(m[1]), p)
        for p in folder.glob(f"{image.stem}_a*.png")
        if (m := number.fullmatch(p.name))
    ]
    if not found:
        raise ValueError(f"{folder}/{image.stem}_a0.png: missing; every image needs an annotator")
    return [_label_map(path, size_hw) for _, path in sorted(found)]


def _label_map(path: Path, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    try:
        with Image.open(path) as opened:
            labels = np.asarray(opened).astype(np.int64)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable PNG ({error}); replace the file") from None
    if labels.shape != size_hw:
        raise ValueError(
            f"{path}: is {labels.shape}, its image is {size_hw} (h, w); pair them again"
        )
    return labels
