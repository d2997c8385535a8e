"""COCO+LVIS (Sofiiuk et al. 2021, arXiv:2102.06583), as it is published: things with their parts.

Layout: `SPLIT/images/ID.jpg`, `SPLIT/masks/ID.pickle` and `SPLIT/hannotation.pickle`, where SPLIT
is train or val. A mask file holds grey PNGs, the layers, with several masks in each; for each mask
it says the layer and the value there. hannotation says how many masks of an image are instances
(the others are stuff), and which mask is part of which. The pickles are read without unpickling,
see `plain_pickle`. No file of this layout says what a mask is of, so its masks have no category;
`coco_lvis_union` makes the same samples from COCO's and LVIS's own files, with categories.
"""

from functools import partial
from typing import Literal

import numpy as np

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import (
    NoSplitError,
    check_split,
    dataset_root,
    distinct_keys,
    files_by_stem,
    inside,
)
from maskspace.data.readers.coco_lvis_union import LICENCE, LVIS_FILES, read_union
from maskspace.data.readers.coded_masks import annotate_tree
from maskspace.data.readers.label_maps import label_map, read_file
from maskspace.data.readers.mask_layers import layer_counts
from maskspace.data.readers.plain_pickle import read_plain_pickle
from maskspace.data.source import Source
from maskspace.files import AnyPath, bounded_bytes
from maskspace.types import Annotation, Sample

SPLITS = ("train", "val")
INDEX = "hannotation.pickle"

#: The largest pickles: bytes of a mask file, bytes of the index, objects in the index.
MAX_MASK_BYTES = 64_000_000
MAX_INDEX_BYTES = 300_000_000
MAX_INDEX_OBJECTS = 30_000_000

#: The number of instances, and for each mask the index of its parent, or None.
Parents = tuple[int, tuple[int | None, ...]]


def read_coco_lvis(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    layout: Literal["published", "union"] | None = None,
    stuff: bool = False,
    nesting: Literal["hierarchy", "masks"] = "hierarchy",
    max_pickle_bytes: int = MAX_MASK_BYTES,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image: those of train, then those of val, each by id.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train" or "val" (default None: both).
        layout: "published" reads the pickles; "union" reads COCO's panoptic and LVIS's files, see
            `read_union` (default None: the layout that is there; the published one if both are).
        stuff: True adds the stuff masks after the instances, without a parent (default False).
        nesting: "hierarchy" takes the parents from the dataset, whose parts have more than 0.8 of
            their pixels in their parent; "masks" finds parents by `containment`, as for every other
            dataset (default "hierarchy").
        max_pickle_bytes: a mask file of more bytes is refused (default 64 000 000).
        containment: used with `nesting: masks`; share in (0, 1]; the parent of a mask is the
            smallest larger mask that holds at least this share of its pixels (default 0.95).

    Raises ValueError in one line that names the file, for whatever is not as published.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> import pickle
        >>> from maskspace.data.readers.mask_layers import encode_layers
        >>> masks = np.zeros((2, 6, 8), bool)
        >>> masks[0], masks[1, :3] = True, True  # the second is part of the first
        >>> record = {"num_instance_masks": 2, "hierarchy": {0: None, 1: {"parent": 0}}}
        >>> for folder in ("images", "masks"):
        ...     root.joinpath("val", folder).mkdir(parents=True)
        >>> Image.new("RGB", (8, 6)).save(root / "val/images/a.jpg")
        >>> _ = root.joinpath("val/masks/a.pickle").write_bytes(pickle.dumps(encode_layers(masks)))
        >>> _ = root.joinpath("val/hannotation.pickle").write_bytes(pickle.dumps({"a": record}))
        >>> source = read_coco_lvis(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('val',))
        >>> [(one.id, one.area, one.parent) for one in source[0].annotations]
        [(1, 48, None), (2, 24, 1)]
    """
    check_split("coco_lvis", split, SPLITS)
    folder = dataset_root(root)
    by_masks = containment if nesting == "masks" else None
    if layout == "union" or (layout is None and _is_union(folder)):
        return read_union(folder, limit=limit, split=split, stuff=stuff, containment=by_masks)
    images = [
        place
        for one_split in SPLITS
        if split in (None, one_split)
        for place in _listed(folder, one_split)
    ]
    if not images:
        raise NoSplitError(
            f"{root}: no {split or 'train|val'}/{INDEX} with images in it; correct the root",
            [one_split for one_split in SPLITS if (folder / one_split / INDEX).is_file()],
        )
    keys = distinct_keys(
        [(path.stem, f"{image_split}-{path.stem}") for image_split, path, _ in images]
    )[:limit]
    chosen = tuple(images[:limit])
    return Source(
        keys=keys,
        splits=tuple(image_split for image_split, _, _ in chosen),
        read=partial(
            _sample,
            places=chosen,
            keys=keys,
            root=folder,
            stuff=stuff,
            max_bytes=max_pickle_bytes,
            containment=by_masks,
        ),
    )


def _is_union(root: AnyPath) -> bool:
    """Say whether a folder has the files of the union, and no index of the published layout."""
    published = any((root / one / INDEX).is_file() for one in SPLITS)
    return not published and any(next(iter(root.glob(pattern)), None) for pattern in LVIS_FILES)


def _listed(root: AnyPath, split: str) -> list[tuple[str, AnyPath, Parents]]:
    """Return the split, image and hierarchy of every image of a split, by id."""
    path = root / split / INDEX
    if not path.is_file():
        return []
    index = read_plain_pickle(
        bounded_bytes(path, limit=MAX_INDEX_BYTES), name=str(path), max_objects=MAX_INDEX_OBJECTS
    )
    if not isinstance(index, dict) or not all(isinstance(key, str) for key in index):
        raise ValueError(f"{path}: is no dictionary of image ids; check which file it is")
    images = files_by_stem(root / split / "images", "*.jpg")
    for image_id in sorted(index.keys() - images.keys()):
        raise ValueError(f"{path}: no image {split}/images/{image_id}.jpg; fetch COCO's images")
    return [
        (split, images[key], _tree(index[key], place=f"{path}: {key}")) for key in sorted(index)
    ]


def _tree(record: object, *, place: str) -> Parents:
    """Return the number of instances of an image and their parents, checked."""
    number = record.get("num_instance_masks") if isinstance(record, dict) else None
    nodes = record.get("hierarchy") if isinstance(record, dict) else None
    if type(number) is not int or not isinstance(nodes, dict) or number < 0:
        raise ValueError(f"{place}: has no num_instance_masks and hierarchy; fetch it again")
    if number > len(nodes) or not all(key in nodes for key in range(number)):
        raise ValueError(f"{place}: its hierarchy is not of {number} masks; fetch it again")
    parents = tuple(_parent(nodes[key], number, place=place) for key in range(number))
    check_tree(parents, place=place)
    return number, parents


def _parent(node: object, number: int, *, place: str) -> int | None:
    if node is None:
        return None
    parent = node.get("parent") if isinstance(node, dict) else -1
    if parent is not None and not (type(parent) is int and 0 <= parent < number):
        raise ValueError(f"{place}: a mask has the parent {parent!r:.40} of {number} masks")
    return parent


def check_tree(parents: tuple[int | None, ...], *, place: str) -> None:
    """Raise ValueError where a mask is its own ancestor.

    `parents` holds for each mask the index of its parent, or None; `place` begins the error.

    Example:
        >>> check_tree((None, 0, 1), place="toy")
        >>> check_tree((1, 0), place="toy")
        Traceback (most recent call last):
            ...
        ValueError: toy: mask 0 is its own ancestor; fetch it again
    """
    seen: set[int] = set()
    for start in range(len(parents)):
        path: list[int] = []
        index: int | None = start
        while index is not None and index not in seen:
            seen.add(index)
            path.append(index)
            index = parents[index]
        if index in path:
            raise ValueError(f"{place}: mask {index} is its own ancestor; fetch it again")


def _sample(
    index: int,
    *,
    places: tuple[tuple[str, AnyPath, Parents], ...],
    keys: tuple[str, ...],
    root: AnyPath,
    stuff: bool,
    max_bytes: int,
    containment: float | None,
) -> Sample:
    split, path, tree = places[index]
    encoded = read_file(path)
    size_hw = image_size_hw(encoded, name=str(path))
    masks = path.parent.parent / "masks" / f"{path.stem}.pickle"
    content = bounded_bytes(masks, limit=max_bytes)
    try:
        counts = read_masks(content, size_hw, name=str(masks))
        annotations = _annotations(counts, tree, size_hw, stuff=stuff, containment=containment)
    except ValueError as error:
        reason = str(error).removeprefix(f"{masks}: ")
        raise ValueError(f"{masks}: {reason}") from None
    return Sample(
        key=keys[index],
        dataset="coco_lvis",
        image=encoded,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotations,
        split=split,
        licence=LICENCE,
        source=inside(path, root),
    )


def _annotations(
    counts: list[str],
    tree: Parents,
    size_hw: tuple[int, int],
    *,
    stuff: bool,
    containment: float | None,
) -> tuple[Annotation, ...]:
    number, parents = tree
    if len(counts) < number:
        raise ValueError(f"holds {len(counts)} masks, hannotation says {number} instances")
    chosen = counts if stuff else counts[:number]
    if containment is not None:
        return annotate_coded([Coded(counts=c) for c in chosen], size_hw, containment=containment)
    return annotate_tree(chosen, (*parents, *[None] * (len(chosen) - number)), size_hw)


def read_masks(content: bytes, size_hw: tuple[int, int], *, name: str) -> list[str]:
    """Return the run-length string of each mask of a published mask file.

    Args:
        content: the bytes of the file.
        size_hw: rows and columns of the image, which every layer has to have.
        name: the name of the file in errors about its pickle and its layers.

    Raises ValueError for a file that is not a pair of layers and of places in them, and for a mask
    without a pixel.

    Example:
        >>> import pickle
        >>> from maskspace.data.readers.mask_layers import encode_layers
        >>> from maskspace.masks import encode
        >>> masks = np.array([[[1, 1]], [[1, 0]]], bool)
        >>> content = pickle.dumps(encode_layers(masks))
        >>> read_masks(content, (1, 2), name="a.pickle") == encode(masks)
        True
    """
    value = read_plain_pickle(content, name=name)
    layers, places = value if isinstance(value, tuple | list) and len(value) == 2 else (None, None)
    if not isinstance(layers, list) or not isinstance(places, list):
        raise ValueError("is not a pair of layers and of places in them; check which file it is")
    maps = [
        label_map(_png_bytes(layer), name=f"{name}: layer {number}", size_hw=size_hw)
        for number, layer in enumerate(layers)
    ]
    return layer_counts(maps, [_place(place) for place in places])


def _png_bytes(layer: object) -> bytes:
    if isinstance(layer, bytes):
        return layer
    if isinstance(layer, np.ndarray) and layer.dtype == np.uint8:
        return layer.tobytes()
    raise ValueError(f"a layer is a {type(layer).__name__}, not the bytes of a PNG")


def _place(place: object) -> tuple[int, int]:
    if isinstance(place, tuple | list) and len(place) == 2:
        layer, value = place
        whole = (int, np.integer)
        if isinstance(layer, whole) and isinstance(value, whole):
            return int(layer), int(value)
    raise ValueError(f"the place of a mask is {place!r:.40}, not its layer and value")
