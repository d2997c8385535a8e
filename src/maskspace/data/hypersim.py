"""HyperSim (Roberts et al. 2021, arXiv:2011.02523): previews with the entity that each pixel shows.

A scene is `ai_VVV_NNN/images/`; `scene_cam_XX_final_preview/frame.IIII.color.jpg` pairs with
`scene_cam_XX_geometry_hdf5/frame.IIII.render_entity_id.hdf5`: int16 ids, -1 where no entity is.
"""

import csv
import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, annotate
from maskspace.data.images import image_size_hw
from maskspace.data.source import Source
from maskspace.masks import from_label_map
from maskspace.types import Sample

SPLITS = "metadata_images_split_scene_v1.csv"


def read_hypersim(
    root: str,
    *,
    seed: int,
    limit: int | None,
    preview: str = "color",
    containment: float = CONTAINMENT,
) -> Source:
    """Return the frames of every scene under `root`, in the order of their paths.

    `preview` is the kind of preview image, "color" or "tonemap". Where `root` holds the official
    split file, frames have its split and frames that it leaves out of the release are left out.
    """
    folder = Path(root)
    paths = sorted(folder.glob(f"ai_*/images/scene_cam_*_final_preview/frame.*.{preview}.jpg"))
    if not paths:
        raise ValueError(
            f"{root}: no ai_VVV_NNN/images/scene_cam_XX_final_preview/frame.IIII.{preview}.jpg; "
            "correct the root"
        )
    official = _official_splits(folder / SPLITS) if (folder / SPLITS).is_file() else None
    if official is not None:
        paths = [path for path in paths if official.get(_key(path))]
    paths = tuple(paths[:limit])
    splits = tuple(official[_key(path)] if official else None for path in paths)
    read = partial(_sample, paths=paths, splits=splits, containment=containment)
    return Source(keys=tuple(map(_key, paths)), splits=splits, read=read)


def _key(path: Path) -> str:
    scene, camera = path.parts[-4], re.sub(r"^scene_|_final_preview$", "", path.parts[-2])
    return f"{scene}-{camera}-{path.name.split('.')[1]}"


def _official_splits(path: Path) -> dict[str, str | None]:
    with path.open(newline="") as file:
        return {
            f"{row['scene_name']}-{row['camera_name']}-{int(row['frame_id']):04d}": (
                row["split_partition_name"] or None
            )
            for row in csv.DictReader(file)
        }


def _sample(
    index: int, *, paths: tuple[Path, ...], splits: tuple[str | None, ...], containment: float
) -> Sample:
    path = paths[index]
    image = path.read_bytes()
    size_hw = image_size_hw(image, name=str(path))
    _, masks = from_label_map(read_entities(_entities_path(path), size_hw))
    return Sample(
        key=_key(path),
        dataset="hypersim",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate(masks, containment=containment),
        split=splits[index],
        licence="CC-BY-SA-3.0",
        source="/".join(path.parts[-4:]),
    )


def _entities_path(preview: Path) -> Path:
    folder = preview.parent.name.replace("_final_preview", "_geometry_hdf5")
    frame = ".".join(preview.name.split(".")[:2])
    return preview.parent.parent / folder / f"{frame}.render_entity_id.hdf5"


def read_entities(path: Path, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Return the entity ids of a frame, 0 where the file says -1; ValueError if it does not fit."""
    try:
        with h5py.File(path, "r") as file:
            dataset = file["dataset"]
            ids = np.asarray(dataset)
    except FileNotFoundError:
        raise ValueError(f"{path}: missing beside its preview; fetch the scene again") from None
    except KeyError:
        raise ValueError(f"{path}: has no dataset named 'dataset'; fetch the scene again") from None
    except (OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not a readable HDF5 file ({error}); fetch it again") from None
    if ids.dtype != np.int16:
        raise ValueError(f"{path}: holds {ids.dtype}, entity ids are int16; check which file it is")
    if ids.shape != size_hw:
        raise ValueError(
            f"{path}: is {ids.shape}, its preview is {size_hw} (h, w); pair them again"
        )
    if ids.min() < -1:
        raise ValueError(f"{path}: holds the entity id {ids.min()}; ids are -1 or above")
    return np.maximum(ids.astype(np.int64), 0)
