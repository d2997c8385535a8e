"""Any folder of images beside label maps or binary masks; `folder_layout` pairs their files.

A label map is a PNG, TIFF, BMP or GIF of whole numbers: grey, a palette's indices, or colours coded
as R + 256 G + 65536 B. It may also be an NPZ with `labels` (int h w). In a binary mask the
foreground is above half of the largest value, in a JPEG above 127. An NPZ with `masks` (bool n h w)
holds several binary masks.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import read_image
from maskspace.data.listings import check_split, dataset_root, distinct_keys, inside
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.folder_layout import IMAGES, SPLITS, Names, Pair, find_pairs
from maskspace.data.readers.label_maps import (
    Coding,
    binary_mask,
    grey_values,
    label_map,
    read_file,
)
from maskspace.data.readers.npz import holds_masks, npz_counts, npz_labels
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks.coded import encode
from maskspace.rgb import White
from maskspace.types import Sample

Kind = Literal["labels", "masks"]


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """How images and mask files are read: the options of `read_folder` of the same names."""

    kind: str
    background: int | None
    ignored: int | None
    palette: Coding
    exif: bool
    white: White | None


def read_folder(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    images: str | None = None,
    labels: str | None = None,
    kind: Kind | None = None,
    mask_suffix: str | None = None,
    suffix: str | None = None,
    background: int | None = 0,
    ignored: int | None = None,
    palette: Literal["index", "grey", "colour"] = "index",
    exif: bool = True,
    white: White | None = None,
    licence: str = "not stated",
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image of a folder, in natural order, with its masks.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" reads the folder of that name alone (default None: all of
            them, or the root itself where there is none).
        images: name of the folder of the images (default None: a usual name, see `folder_layout`).
        labels: name of the folder of the label maps or masks (default None: a usual name).
        kind: "labels" (label maps) or "masks" (binary masks) (default None: what the name of the
            folder or the ending of the files says).
        mask_suffix: what the name of a mask file has beyond the name of its image, such as "_mask"
            (default None: nothing, or the usual ending that all mask files have).
        suffix: as `mask_suffix`, for images and label maps together in `root` itself (default None:
            two folders, or a usual ending in one folder). The files are label maps unless `kind`
            says "masks".
        background: the label without a mask (default 0; None: every label is a mask).
        ignored: the label, or the value in a binary mask, whose pixels become a mask to ignore
            (default None: none).
        palette: how colours become labels: "index" takes the index in a palette of colours, as VOC
            has it; "grey" looks the palette up and takes the grey, or the code R + 256 G + 65536 B
            where colours are not grey; "colour" takes this code of every pixel (default "index").
        exif: True turns each image as its EXIF says (default); False where the annotations are of
            the pixels as they are stored.
        white: the value of white in images of more than 8 bits: a number, "minmax" or "percentile"
            (default None: what the file says, see `read_rgb`).
        licence: the licence of every sample (default "not stated").
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError for an image without labels, for labels without an image, and for a file that
    can be read in two ways.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("images/a.jpg", photo), ("masks/a_mask.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_folder(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), (None,))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("folder", split, SPLITS)
    folder = dataset_root(root)
    if ignored is not None and ignored == background:
        raise ValueError("folder: background and ignored are the same label; choose which it is")
    is_flat = suffix is not None
    if suffix == "" or mask_suffix == "":
        raise ValueError("folder: the suffix is empty; give what label files have more, as _mask")
    names = Names(
        images=images,
        labels=labels,
        kind=kind,
        ending=suffix if is_flat else mask_suffix,
        flat=is_flat,
    )
    layout = find_pairs(folder, names, split=split)
    if not layout.pairs:
        raise ValueError(f"{root}: no image of {', '.join(IMAGES)} in it; correct the root")
    rules = _Rules(
        kind=layout.kind,
        background=background,
        ignored=ignored,
        palette=palette,
        exif=exif,
        white=white,
    )
    keys = distinct_keys([_names(pair, folder) for pair in layout.pairs])[:limit]
    pairs = layout.pairs[:limit]
    return Source(
        keys=keys,
        splits=tuple(pair.split for pair in pairs),
        read=partial(
            _sample,
            root=folder,
            pairs=pairs,
            keys=keys,
            rules=rules,
            licence=licence,
            containment=containment,
        ),
        notes=layout.notes,
    )


def _names(pair: Pair, root: AnyPath) -> tuple[str, ...]:
    """Return the keys that an image may have, from its stem to its whole path."""
    stem = pair.image.stem
    of_split = (f"{pair.split}-{stem}",) if pair.split else ()
    return (stem, *of_split, pair.place, "/".join(pair.image.parts[len(root.parts) :]))


def _sample(
    index: int,
    *,
    root: AnyPath,
    pairs: tuple[Pair, ...],
    keys: tuple[str, ...],
    rules: _Rules,
    licence: str,
    containment: float,
) -> Sample:
    pair = pairs[index]
    image = read_image(pair.image, exif=rules.exif, white=rules.white)
    several = len(pair.masks) != 1 or pair.masks[0].parent.name in (
        pair.image.stem,
        pair.image.name,
    )
    coded = [one for path in pair.masks for one in _coded(path, image.size_hw, rules, several)]
    try:
        annotations = annotate_coded(coded, image.size_hw, containment=containment)
    except ValueError as error:
        raise ValueError(f"{pair.masks[0]}: {error}") from None
    return Sample(
        key=keys[index],
        dataset="folder",
        image=image.encoded,
        extension=image.extension,
        size_hw=image.size_hw,
        annotations=annotations,
        split=pair.split,
        licence=licence,
        source=inside(pair.image, root),
    )


def _coded(path: AnyPath, size_hw: tuple[int, int], rules: _Rules, several: bool) -> list[Coded]:
    """Return the masks of a file; each of `several` files of one image is a binary mask."""
    if path.suffix.lower() == ".npz":
        return _from_npz(path, size_hw, rules)
    if several or rules.kind == "masks":
        return _binary(path, size_hw, rules)
    labels = label_map(
        read_file(path),
        name=str(path),
        size_hw=size_hw,
        coding=rules.palette,
        special=tuple(one for one in (rules.background, rules.ignored) if one is not None),
    )
    return coded_label_map(labels, background=rules.background, ignored=rules.ignored)


def _from_npz(path: AnyPath, size_hw: tuple[int, int], rules: _Rules) -> list[Coded]:
    encoded, name = read_file(path), str(path)
    if holds_masks(encoded, name=name):
        return [Coded(counts=c) for c in npz_counts(encoded, name=name, size_hw=size_hw)]
    labels = npz_labels(encoded, name=name, size_hw=size_hw)
    allowed = [value for value in (rules.ignored, rules.background) if value is not None]
    negative = np.setdiff1d(labels[labels < 0], allowed)
    if len(negative):
        raise ValueError(f"{name}: label {negative[0]} is below 0; name it with ignored")
    return coded_label_map(labels, background=rules.background, ignored=rules.ignored)


def _binary(path: AnyPath, size_hw: tuple[int, int], rules: _Rules) -> list[Coded]:
    """Return the mask of a file and of its ignored value; no mask where nothing is marked."""
    encoded, name = read_file(path), str(path)
    mask = binary_mask(encoded, name=name, size_hw=size_hw, ignored=rules.ignored)
    if rules.ignored is None:
        return [Coded(counts=encode(mask[None])[0])] if mask.any() else []
    is_ignored = grey_values(encoded, name=name, size_hw=size_hw) == rules.ignored
    masks = ((mask & ~is_ignored, False), (is_ignored, True))
    return [Coded(counts=encode(m[None])[0], ignore=ignore) for m, ignore in masks if m.any()]
