"""Any folder of images beside label maps or binary masks.

Three layouts, each also once in `train/`, `val/` and `test/`:

- two folders: `images/X.jpg` and `labels/X.png` (label maps) or `masks/X.png` (binary masks);
- a folder of binary masks an image: `images/X.jpg` and `masks/X/*.png`, which may overlap;
- flat, with a suffix: `X.jpg` and `X_mask.png` side by side.

A label map is PNG, TIFF, BMP or GIF with whole numbers (grey, palette, or colour coded as
R + 256 G + 65536 B), or an NPZ with `labels` (int h w). A binary mask is foreground above half of
its largest value, a JPEG above 127; an NPZ with `masks` (bool n h w) holds several.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import check_split, dataset_root, inside, natural, safe_key
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import (
    binary_mask,
    grey_values,
    label_map,
    read_file,
)
from maskspace.data.readers.npz import holds_masks, npz_counts, npz_labels
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks import encode
from maskspace.types import Sample

SPLITS = ("train", "val", "test")
IMAGES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif")
LABELS = (*IMAGES, ".npz")

Kind = Literal["labels", "masks"]


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """How the label files are read."""

    kind: Kind
    background: int | None
    ignored: int | None


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """An image, its label file or its folder of masks, and its split."""

    image: AnyPath
    labels: AnyPath
    split: str | None


def read_folder(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    images: str = "images",
    labels: str | None = None,
    kind: Kind | None = None,
    suffix: str | None = None,
    background: int | None = 0,
    ignored: int | None = None,
    licence: str = "not stated",
    containment: float = CONTAINMENT,
) -> Source:
    """Return the images of a folder, in natural order, with their masks.

    `images` and `labels` are the names of the two folders; by default the second is `labels`, or
    `masks` where that one is there. `kind` says what its files hold, by default what its name says.
    With `suffix` (such as "_mask") everything is in `root` itself, label maps unless `kind` says
    "masks". In label maps `background` marks nothing (None: every label is a mask) and the pixels
    of `ignored` become a mask to ignore, in binary masks too. Raises ValueError for an image
    without labels and for labels without an image.
    """
    check_split("folder", split, SPLITS)
    folder = dataset_root(root)
    if ignored is not None and ignored == background:
        raise ValueError("folder: background and ignored are the same label; choose which it is")
    found = labels or _label_folder(folder, images)
    rules = _Rules(
        kind=kind or ("masks" if suffix is None and found == "masks" else "labels"),
        background=background,
        ignored=ignored,
    )
    parts = _parts(folder, images if suffix is None else "", split)
    pairs = tuple(
        _Pair(image=image, labels=label, split=own)
        for own, part in parts
        for image, label in (
            _flat(part, suffix) if suffix is not None else _beside(part / images, part / found)
        )
    )[:limit]
    if not pairs:
        raise ValueError(f"{root}: no image of {', '.join(IMAGES)} in it; correct the root")
    return Source(
        keys=tuple(safe_key(pair.image.stem) for pair in pairs),
        splits=tuple(pair.split for pair in pairs),
        read=partial(
            _sample, root=folder, pairs=pairs, rules=rules, licence=licence, containment=containment
        ),
    )


def _parts(root: AnyPath, images: str, split: str | None) -> list[tuple[str | None, AnyPath]]:
    """Return the folders that hold a layout: the splits' where there are any, or the root."""
    there = [s for s in SPLITS if (root / s / images if images else root / s).is_dir()]
    if split is not None and split not in there:
        raise ValueError(f"{root}: no folder {split}/{images}; correct the root or the split")
    return [(s, root / s) for s in there if split in (None, s)] or [(None, root)]


def _label_folder(root: AnyPath, images: str) -> str:
    for part in (root, *(root / s for s in SPLITS)):
        if (part / images).is_dir():
            return next((n for n in ("labels", "masks") if (part / n).is_dir()), "labels")
    return "labels"


def _beside(images: AnyPath, labels: AnyPath) -> list[tuple[AnyPath, AnyPath]]:
    """Return the pairs of two folders: files, or a file and a folder, of the same name."""
    for folder in (images, labels):
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder; name it with the options images, labels")
    return _paired(
        _by_stem(path for path in images.iterdir() if path.suffix.lower() in IMAGES),
        _by_stem(
            path for path in labels.iterdir() if path.suffix.lower() in LABELS or path.is_dir()
        ),
        f"in {labels}",
    )


def _flat(folder: AnyPath, suffix: str) -> list[tuple[AnyPath, AnyPath]]:
    """Return the pairs of one folder: `X.jpg` and `X` + suffix + `.png`."""
    if not suffix:
        raise ValueError("folder: the suffix is empty; give what label files have more, as _mask")
    files = [path for path in folder.iterdir() if path.suffix.lower() in LABELS]
    marked = {path.stem: path for path in files if path.stem.endswith(suffix)}
    return _paired(
        _by_stem(p for p in files if p.stem not in marked and p.suffix.lower() in IMAGES),
        {stem.removesuffix(suffix): path for stem, path in marked.items()},
        f"with the suffix {suffix}",
    )


def _by_stem(paths: Iterable[AnyPath]) -> dict[str, AnyPath]:
    found: dict[str, AnyPath] = {}
    for path in sorted(paths, key=lambda path: natural(path.name)):
        stem = path.stem if path.suffix.lower() in LABELS else path.name
        if path.name.startswith("."):
            continue
        if stem in found:
            raise ValueError(f"{path}: {found[stem].name} is of the same name; remove one of them")
        found[stem] = path
    return found


def _paired(
    images: dict[str, AnyPath], labels: dict[str, AnyPath], where: str
) -> list[tuple[AnyPath, AnyPath]]:
    for stem in sorted(images.keys() ^ labels.keys(), key=natural):
        if stem in images:
            raise ValueError(f"{images[stem]}: no labels {where}; add them or remove the image")
        raise ValueError(f"{labels[stem]}: labels without an image {stem}; remove one or add one")
    return [(images[stem], labels[stem]) for stem in images]


def _sample(
    index: int,
    *,
    root: AnyPath,
    pairs: tuple[_Pair, ...],
    rules: _Rules,
    licence: str,
    containment: float,
) -> Sample:
    pair = pairs[index]
    image = read_file(pair.image)
    size_hw = image_size_hw(image, name=str(pair.image))
    coded = _coded(pair.labels, size_hw, rules)
    try:
        annotations = annotate_coded(coded, size_hw, containment=containment)
    except ValueError as error:
        raise ValueError(f"{pair.labels}: {error}") from None
    return Sample(
        key=safe_key(pair.image.stem),
        dataset="folder",
        image=image,
        extension=pair.image.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=annotations,
        split=pair.split,
        licence=licence,
        source=inside(pair.image, root),
    )


def _coded(path: AnyPath, size_hw: tuple[int, int], rules: _Rules) -> list[Coded]:
    if path.suffix.lower() not in LABELS:
        files = _by_stem(p for p in path.iterdir() if p.suffix.lower() in IMAGES)
        return [one for file in files.values() for one in _binary(file, size_hw, rules)]
    if path.suffix.lower() == ".npz":
        return _from_npz(path, size_hw, rules)
    if rules.kind == "masks":
        return _binary(path, size_hw, rules)
    special = tuple(one for one in (rules.background, rules.ignored) if one is not None)
    labels = label_map(
        read_file(path), name=str(path), size_hw=size_hw, coding="index", special=special
    )
    return coded_label_map(labels, background=rules.background, ignored=rules.ignored)


def _from_npz(path: AnyPath, size_hw: tuple[int, int], rules: _Rules) -> list[Coded]:
    encoded, name = read_file(path), str(path)
    if holds_masks(encoded, name=name):
        return [Coded(counts=c) for c in npz_counts(encoded, name=name, size_hw=size_hw)]
    labels = npz_labels(encoded, name=name, size_hw=size_hw)
    meant = [value for value in (rules.ignored, rules.background) if value is not None]
    negative = np.setdiff1d(labels[labels < 0], meant)
    if len(negative):
        raise ValueError(f"{name}: label {negative[0]} is below 0; name it with ignored")
    return coded_label_map(labels, background=rules.background, ignored=rules.ignored)


def _binary(path: AnyPath, size_hw: tuple[int, int], rules: _Rules) -> list[Coded]:
    """Return the mask of a file, and that of its ignored value; none where nothing is marked."""
    encoded, name = read_file(path), str(path)
    mask = binary_mask(encoded, name=name, size_hw=size_hw, ignored=rules.ignored)
    if rules.ignored is None:
        return [Coded(counts=encode(mask[None])[0])] if mask.any() else []
    unsure = grey_values(encoded, name=name, size_hw=size_hw) == rules.ignored
    both = ((mask & ~unsure, False), (unsure, True))
    return [Coded(counts=encode(m[None])[0], ignore=ignore) for m, ignore in both if m.any()]
