"""DAVIS 2016 and 2017 (Perazzi et al. 2016; Pont-Tuset et al. 2017, arXiv:1704.00675): videos.

Layout: `JPEGImages/480p/SEQUENCE/00000.jpg` beside `Annotations/480p/SEQUENCE/00000.png`. In 2017
the palette's index of a pixel is the id of its object; in 2016 a pixel is 0 or 255. The lists
`ImageSets/2016|2017/{train,val}.txt` have one sequence a line; the archive of 2016 has lists of its
own, which are read too.
"""

from functools import partial
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Int64

from maskspace.data.annotations import CONTAINMENT, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import NoSplitError, check_split, dataset_root, inside, safe_key
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import (
    binary_mask,
    grey_values,
    is_coloured,
    label_map,
    read_file,
)
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.types import Sample

LICENCE = "see davischallenge.org; treated as non-commercial"
WHITE = 255

DavisFrame = tuple[AnyPath, AnyPath, str | None]


def read_davis(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    year: Literal["2016", "2017"] | None = None,
    resolution: str = "480p",
    objects: Literal["apart", "merged"] = "apart",
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each frame with an annotation, by sequence and frame.

    A sequence has the split of the 2017 lists, else of the 2016 lists, else none. A frame that
    shows no object is a sample without masks. Void pixels (index 255 of a palette) become a mask to
    ignore. The sequences are the groups.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train" or "val" (default None: all sequences).
        year: "2016" or "2017" keeps the sequences in that year's lists (default None: all
            sequences).
        resolution: name of the folder: "480p", "1080p" or "Full-Resolution" (default "480p").
        objects: "apart" makes a mask for each object; "merged" makes one mask of all objects, as in
            the task of 2016 (default "apart").
        containment: not used; the objects of a frame do not overlap.

    Raises ValueError for an annotation without its image, and for a listed sequence without an
    annotated frame.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> files = {
        ...     "JPEGImages/480p/bear/00000.jpg": photo,
        ...     "Annotations/480p/bear/00000.png": mask,
        ... }
        >>> for name, image in files.items():
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_davis(str(root), seed=0, limit=None)
        >>> source.keys, source.groups
        (('bear-00000',), ('bear',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("davis", split, ("train", "val"))
    folder = dataset_root(root)
    splits = _sequence_splits(folder, year, resolution)
    frames = [
        (image, mask, splits.get(sequence))
        for sequence, image, mask in _annotated(folder, resolution)
        if year is None or sequence in splits
    ]
    _check_all_there(folder, {mask.parent.name for _, mask, _ in frames}, splits if year else {})
    chosen = tuple(frame for frame in frames if split in (None, frame[2]))[:limit]
    if not chosen and split is not None:
        raise NoSplitError(
            f"{root}: no sequence of the split {split} by ImageSets/; fetch the lists",
            {frame_split for _, _, frame_split in frames},
        )
    return Source(
        keys=tuple(map(_key, chosen)),
        splits=tuple(frame_split for _, _, frame_split in chosen),
        groups=tuple(mask.parent.name for _, mask, _ in chosen),
        read=partial(_sample, frames=chosen, root=folder, merged=objects == "merged"),
    )


def _annotated(root: AnyPath, resolution: str) -> list[tuple[str, AnyPath, AnyPath]]:
    """Return the sequence, the image and the mask of every annotated frame."""
    by_kind = {
        kind: {
            (path.parent.name, path.stem): path
            for path in (root / kind / resolution).glob("*/*")
            if path.suffix.lower() in suffixes and not path.name.startswith(".")
        }
        for kind, suffixes in (("Annotations", (".png",)), ("JPEGImages", (".jpg", ".jpeg")))
    }
    images, masks = by_kind["JPEGImages"], by_kind["Annotations"]
    if not masks:
        raise ValueError(f"{root}: no Annotations/{resolution}/*/*.png in it; correct the root")
    for sequence, stem in sorted(masks.keys() - images.keys()):
        raise ValueError(
            f"{masks[sequence, stem]}: no JPEGImages/{resolution}/{sequence}/{stem}.jpg for it; "
            "fetch the dataset again"
        )
    return [(place[0], images[place], masks[place]) for place in sorted(masks)]


def _sequence_splits(root: AnyPath, year: str | None, resolution: str) -> dict[str, str]:
    """Return the split of each listed sequence, of `year` or else of the latest list."""
    splits: dict[str, str] = {}
    for list_year in ("2016", "2017") if year is None else (year,):
        for split in ("train", "val"):
            names = _sequences(root, list_year, split, resolution)
            if names is None and year is not None:
                path = root / "ImageSets" / list_year / f"{split}.txt"
                raise ValueError(f"{path}: no such list; fetch it, or leave `year` out")
            splits |= dict.fromkeys(names or (), split)
    return splits


def _sequences(root: AnyPath, year: str, split: str, resolution: str) -> set[str] | None:
    """Return the sequences of a list; None where there is no such list.

    The archive of 2016 has `ImageSets/480p/train.txt`, which lists the files of every frame.
    """
    for folder in (year, *([resolution] if year == "2016" else [])):
        path = root / "ImageSets" / folder / f"{split}.txt"
        if path.is_file():
            lines = read_file(path).decode("utf-8", "replace").splitlines()
            first_words = [PurePosixPath(line.split()[0]) for line in lines if line.strip()]
            return {word.parent.name or word.name for word in first_words}
    return None


def _check_all_there(root: AnyPath, present: set[str], listed: dict[str, str]) -> None:
    missing = sorted(listed.keys() - present)
    if missing:
        raise ValueError(
            f"{root}: {len(missing)} listed sequences have no annotated frame, first "
            f"{missing[0]!r}; fetch the dataset again"
        )


def _key(frame: DavisFrame) -> str:
    mask = frame[1]
    return safe_key(f"{mask.parent.name}-{mask.stem}")


def _sample(index: int, *, frames: tuple[DavisFrame, ...], root: AnyPath, merged: bool) -> Sample:
    path, mask_path, split = frames[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    labels = object_ids(read_file(mask_path), name=str(mask_path), size_hw=size_hw)
    if merged:
        labels = np.where(labels == -1, -1, np.minimum(labels, 1))
    return Sample(
        key=_key(frames[index]),
        dataset="davis",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate_coded(coded_label_map(labels, ignored=-1), size_hw),
        split=split,
        licence=LICENCE,
        source=inside(path, root),
    )


def object_ids(encoded: bytes, *, name: str, size_hw: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Return the object of each pixel of an annotation: its id, 0 for none, -1 for void.

    A file in colours, by its palette or in three channels, holds ids, of which 255 is void. A grey
    file with the value 255 anywhere is the mask of one object, with the id 255: pixels above half
    of white. Any other grey file holds ids.

    Args:
        encoded: the bytes of the file.
        name: its name in errors.
        size_hw: rows and columns that it has to have.

    Raises ValueError that starts with `name` for a file that is none of these.

    Example:
        >>> import numpy as np
        >>> from maskspace.data.images import encode_png
        >>> white = encode_png(np.full((1, 2, 3), 255, np.uint8))  # a grey mask of one object
        >>> object_ids(white, name="00000.png", size_hw=(1, 2)).tolist()
        [[255, 255]]
    """
    if is_coloured(encoded, name=name, size_hw=size_hw):
        labels = label_map(encoded, name=name, size_hw=size_hw, coding="index", special=(0, WHITE))
        return np.where(labels == WHITE, -1, labels)
    values = grey_values(encoded, name=name, size_hw=size_hw)
    if (values == WHITE).any():
        return WHITE * binary_mask(encoded, name=name, size_hw=size_hw).astype(np.int64)
    return values
