"""BSDS500 (Arbelaez et al. 2011, doi:10.1109/TPAMI.2010.161): photos, each with several annotators.

Layout: `SPLIT/images/ID.jpg` and `SPLIT/groundTruth/ID_aK.png`, the label map of annotator K. The
masks of annotator K are in layer K.
"""

import re
from functools import partial

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import check_split, dataset_root, files_by_stem, inside
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import read_file, read_label_map
from maskspace.data.source import Source
from maskspace.files import AnyPath
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
    """Return one sample an image, with the masks of each of its annotators in a layer of its own.

    A mask that two annotators drew exactly alike is there twice, once in each layer; parents are of
    any layer. Only the images of `split` if it is given.
    """
    check_split("bsds500", split, SPLITS)
    chosen = [s for s in SPLITS if split in (None, s)]
    folder = dataset_root(root)
    paths = [
        path for s in chosen for path in files_by_stem(folder / s / "images", "*.jpg").values()
    ]
    if not paths:
        raise ValueError(
            f"{root}: no {'|'.join(chosen)}/images/*.jpg; correct the root or the split"
        )
    kept = tuple(paths[:limit])
    return Source(
        keys=tuple(path.stem for path in kept),
        splits=tuple(path.parts[-3] for path in kept),
        read=partial(_sample, root=folder, paths=kept, containment=containment),
    )


def _sample(index: int, *, root: AnyPath, paths: tuple[AnyPath, ...], containment: float) -> Sample:
    path = paths[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    coded = [
        one
        for layer, labels in annotator_label_maps(path, size_hw).items()
        for one in coded_label_map(labels, layer=layer)
    ]
    return Sample(
        key=path.stem,
        dataset="bsds500",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate_coded(coded, size_hw, containment=containment),
        split=path.parts[-3],
        licence="non-commercial research and education",
        source=inside(path, root),
    )


def annotator_label_maps(
    image: AnyPath, size_hw: tuple[int, int]
) -> dict[int, Int64[np.ndarray, "h w"]]:
    """Return the label map of each annotator of an image by the annotator's number, ascending."""
    folder = image.parent.parent / "groundTruth"
    number = re.compile(rf"{re.escape(image.stem)}_a(\d+)\.png")
    found = {
        int(match[1]): path
        for path in folder.glob(f"{image.stem}_a*.png")
        if (match := number.fullmatch(path.name))
    }
    if not found:
        raise ValueError(f"{folder}/{image.stem}_a0.png: missing; every image needs an annotator")
    return {layer: read_label_map(found[layer], size_hw) for layer in sorted(found)}
