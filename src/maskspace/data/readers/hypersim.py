"""HyperSim (Roberts et al. 2021, arXiv:2011.02523): previews with the entity that each pixel shows.

Layout: a scene is `ai_VVV_NNN/images/`; in it `scene_cam_XX_final_preview/frame.IIII.color.jpg`
pairs with `scene_cam_XX_geometry_hdf5/frame.IIII.render_entity_id.hdf5`. The second holds int16
ids, -1 where no entity is. The official division of the frames into splits is a CSV of Apple's
repository, apple/ml-hypersim.
"""

import csv
import re
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import NoSplitError, check_split, dataset_root, inside
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.hdf5 import read_array
from maskspace.data.readers.label_maps import read_file
from maskspace.data.source import Source
from maskspace.files import AnyPath, bounded_bytes, locate
from maskspace.types import Category, Sample

SPLITS = ("train", "val", "test")
SPLIT_FILE = "metadata_images_split_scene_v1.csv"

Ids = Literal["render_entity_id", "semantic_instance", "semantic"]

#: NYU40's classes (Gupta et al. 2013), by number from 1; those of _STUFF are no things.
_NYU40 = (
    "wall",
    "floor",
    "cabinet",
    "bed",
    "chair",
    "sofa",
    "table",
    "door",
    "window",
    "bookshelf",
    "picture",
    "counter",
    "blinds",
    "desk",
    "shelves",
    "curtain",
    "dresser",
    "pillow",
    "mirror",
    "floor mat",
    "clothes",
    "ceiling",
    "books",
    "refrigerator",
    "television",
    "paper",
    "towel",
    "shower curtain",
    "box",
    "whiteboard",
    "person",
    "night stand",
    "toilet",
    "sink",
    "lamp",
    "bathtub",
    "bag",
    "other structure",
    "other furniture",
    "other prop",
)
_STUFF = ("wall", "floor", "ceiling")
CATEGORIES = tuple(
    Category(id=number, name=name, is_thing=name not in _STUFF)
    for number, name in enumerate(_NYU40, start=1)
)

_COLUMNS = ("scene_name", "camera_name", "frame_id", "split_partition_name")
_MAX_BYTES = 64_000_000


def read_hypersim(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    ids: Ids = "render_entity_id",
    preview: Literal["color", "tonemap"] = "color",
    split_file: str | None = None,
    categories: bool = False,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each frame, in the order of the paths, with a mask for each entity.

    The scenes are the groups. The official split file is `metadata_images_split_scene_v1.csv` in
    the root, or `split_file`. With it, frames have its splits, and frames that Apple did not
    release are left out; without it, frames have no split.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test", which needs the split file (default None: all frames).
        ids: what a mask is. "render_entity_id": an entity of the renderer; they cover nearly all
            pixels, an object has one or more. "semantic_instance": an instance that people named;
            half of the pixels have one. "semantic": all pixels of one of NYU40's classes (default
            "render_entity_id").
        preview: kind of the preview image, "color" or "tonemap" (default "color").
        split_file: path or URL of the split file (default None: the one in the root, if there is
            one).
        categories: True gives each mask the NYU40 class of most of its pixels, or none where most
            have none; it needs `frame.IIII.semantic.hdf5` (default False).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError where no preview is found, for a split without the split file (NoSplitError),
    and for files that do not fit each other.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> import h5py
        >>> images = root / "ai_001_001" / "images"
        >>> preview = images / "scene_cam_00_final_preview" / "frame.0000.color.jpg"
        >>> ids = images / "scene_cam_00_geometry_hdf5" / "frame.0000.render_entity_id.hdf5"
        >>> preview.parent.mkdir(parents=True)
        >>> ids.parent.mkdir()
        >>> Image.new("RGB", (3, 1)).save(preview)
        >>> with h5py.File(ids, "w") as file:
        ...     file["dataset"] = np.array([[-1, 7, 7]], np.int16)
        >>> source = read_hypersim(str(root), seed=0, limit=None)
        >>> source.keys, source.groups, [one.area for one in source[0].annotations]
        (('ai_001_001-cam_00-0000',), ('ai_001_001',), [2])
    """
    check_split("hypersim", split, SPLITS)
    folder = dataset_root(root)
    paths = sorted(folder.glob(f"ai_*/images/scene_cam_*_final_preview/frame.*.{preview}.jpg"))
    if not paths:
        raise ValueError(
            f"{root}: no ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.{preview}.jpg; "
            "correct the root"
        )
    official = _official(folder, split_file)
    if official is None and split is not None:
        raise NoSplitError(f"{root}: no {SPLIT_FILE}, so no split {split}; fetch it from Apple", ())
    if official is not None:
        paths = [
            path
            for path in paths
            if (frame_split := official.get(_key(path))) and split in (None, frame_split)
        ]
    chosen = tuple(paths[:limit])
    splits = tuple(official[_key(path)] if official else None for path in chosen)
    read = partial(
        _sample,
        paths=chosen,
        splits=splits,
        root=folder,
        ids=ids,
        categories=categories,
        containment=containment,
    )
    return Source(
        keys=tuple(map(_key, chosen)),
        splits=splits,
        groups=tuple(path.parts[-4] for path in chosen),
        read=read,
        categories=CATEGORIES if categories or ids == "semantic" else (),
    )


def _key(path: AnyPath) -> str:
    scene, camera = path.parts[-4], re.sub(r"^scene_|_final_preview$", "", path.parts[-2])
    return f"{scene}-{camera}-{path.name.split('.')[1]}"


def _official(root: AnyPath, given: str | None) -> dict[str, str | None] | None:
    """Return the split of each frame by its key, None if unreleased; None without a file."""
    path = locate(given) if given is not None else root / SPLIT_FILE
    if given is None and not path.is_file():
        return None
    rows = csv.DictReader(
        bounded_bytes(path, limit=_MAX_BYTES).decode("utf-8", "replace").splitlines()
    )
    if not set(_COLUMNS) <= set(rows.fieldnames or ()):
        raise ValueError(f"{path}: has no columns {', '.join(_COLUMNS)}; fetch it from Apple again")
    splits: dict[str, str | None] = {}
    for number, row in enumerate(rows, start=2):
        scene, camera, frame, split = (row[column] for column in _COLUMNS)
        if not str(frame).isascii() or not str(frame).isdecimal() or split not in ("", *SPLITS):
            raise ValueError(f"{path}: line {number} is no frame with its split; fetch it again")
        splits[f"{scene}-{camera}-{int(frame):04d}"] = split or None
    return splits


def _sample(
    index: int,
    *,
    paths: tuple[AnyPath, ...],
    splits: tuple[str | None, ...],
    root: AnyPath,
    ids: Ids,
    categories: bool,
    containment: float,
) -> Sample:
    path = paths[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    labels = read_entities(_ids_path(path, ids), size_hw)
    needs_classes = categories or ids == "semantic"
    class_of_entity = _classes(path, labels) if needs_classes else {}
    return Sample(
        key=_key(path),
        dataset="hypersim",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate_coded(
            coded_label_map(labels, categories=class_of_entity), size_hw, containment=containment
        ),
        split=splits[index],
        licence="CC-BY-SA-3.0",
        source=inside(path, root),
    )


def _classes(preview: AnyPath, labels: Int64[np.ndarray, "h w"]) -> dict[int, int]:
    """Return the most frequent class of each entity; of equally frequent ones the lower number."""
    semantic = read_entities(_ids_path(preview, "semantic"), (labels.shape[0], labels.shape[1]))
    if semantic.max() > len(CATEGORIES):
        raise ValueError(f"{preview}: its semantic file has the class {semantic.max()}, above 40")
    pairs, counts = np.unique(
        np.stack([labels.ravel(), semantic.ravel()]), axis=1, return_counts=True
    )
    by_frequency = np.lexsort((-pairs[1], counts))  # the most frequent last
    class_of_entity = dict(pairs[:, by_frequency].T.tolist())
    return {entity: number for entity, number in class_of_entity.items() if number > 0}


def _ids_path(preview: AnyPath, ids: Ids) -> AnyPath:
    folder = preview.parent.name.replace("_final_preview", "_geometry_hdf5")
    frame = ".".join(preview.name.split(".")[:2])
    return preview.parent.parent / folder / f"{frame}.{ids}.hdf5"


def read_entities(path: AnyPath, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Return the ids of a frame as a label map, 0 where the file says -1.

    Raises ValueError for a file that is missing, has another size than `size_hw`, or holds an id
    below -1.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import h5py
        >>> path = Path(tempfile.mkdtemp(), "frame.0000.render_entity_id.hdf5")
        >>> with h5py.File(path, "w") as file:
        ...     file["dataset"] = np.array([[-1, 7]], np.int16)
        >>> read_entities(path, (1, 2)).tolist()
        [[0, 7]]
    """
    try:
        content = bounded_bytes(path, limit=_MAX_BYTES)
    except ValueError as error:
        if "no such file" in str(error):
            raise ValueError(f"{path}: missing beside its preview; fetch the scene again") from None
        raise
    ids = read_array(content, dataset="dataset", dtype=np.int16, size_hw=size_hw, name=str(path))
    if ids.min() < -1:
        raise ValueError(f"{path}: holds the entity id {ids.min()}; ids are -1 or above")
    return np.maximum(ids.astype(np.int64), 0)
