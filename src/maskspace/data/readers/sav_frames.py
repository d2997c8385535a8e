"""SA-V's validation and test sets (Ravi et al. 2024, arXiv:2408.00714): frames, a PNG an object.

Layout: `JPEGImages_24fps/VIDEO/00000.jpg` beside `Annotations_6fps/VIDEO/OBJECT/00000.png`, which
is black where the object is not. Only every fourth frame has masks. The file `sav_val.txt` or
`sav_test.txt` tells which set it is.
"""

from functools import partial

from maskspace.data.annotations import annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import NoSplitError, inside, safe_key
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import foreground_mask, read_file
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.types import Sample

ANNOTATIONS, FRAMES = "Annotations_6fps", "JPEGImages_24fps"
LICENCE = "CC-BY-4.0"

#: An image and the masks of its objects.
SavFrame = tuple[AnyPath, tuple[AnyPath, ...]]


def read_sav_frames(
    root: AnyPath, *, limit: int | None, split: str | None, containment: float
) -> Source:
    """Return one sample for each frame that has a mask file, by video and frame.

    Args:
        root: the dataset's folder.
        limit: only the first so many samples (None: all).
        split: "val" or "test", which has to be the set at `root` (None: whatever is there).
        containment: as in `read_sav`.

    Raises ValueError for another split (NoSplitError), and where there are no mask files.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> files = {
        ...     "JPEGImages_24fps/sav_1/00000.jpg": photo,
        ...     "Annotations_6fps/sav_1/000/00000.png": mask,
        ... }
        >>> for name, image in files.items():
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_sav_frames(root, limit=None, split=None, containment=0.95)
        >>> source.keys, source.groups
        (('sav_1-00000',), ('sav_1',))
        >>> [one.area for one in source[0].annotations]
        [24]
    """
    split_there = next(
        (one for one in ("val", "test") if (root / f"sav_{one}.txt").is_file()), None
    )
    if split not in (None, split_there):
        raise NoSplitError(
            f"{root}: no sav_{split}.txt, so it is not SA-V's {split}; correct either",
            (split_there,),
        )
    masks_of_frame: dict[tuple[str, str], list[AnyPath]] = {}
    for path in sorted((root / ANNOTATIONS).glob("*/*/*.png"), key=str):
        if not path.name.startswith("."):
            masks_of_frame.setdefault((path.parent.parent.name, path.stem), []).append(path)
    if not masks_of_frame:
        raise ValueError(f"{root}: no {ANNOTATIONS}/VIDEO/OBJECT/*.png in it; correct the root")
    places = sorted(masks_of_frame)[:limit]
    frames = tuple(
        (root / FRAMES / video / f"{stem}.jpg", tuple(masks_of_frame[video, stem]))
        for video, stem in places
    )
    return Source(
        keys=tuple(map(_key, frames)),
        splits=(split_there,) * len(frames),
        groups=tuple(video for video, _ in places),
        read=partial(_sample, frames=frames, root=root, split=split_there, containment=containment),
    )


def _key(frame: SavFrame) -> str:
    return safe_key(f"{frame[0].parent.name}-{frame[0].stem}")


def _sample(
    index: int,
    *,
    frames: tuple[SavFrame, ...],
    root: AnyPath,
    split: str | None,
    containment: float,
) -> Sample:
    path, masks = frames[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    coded = []
    for mask_path in masks:
        mask = foreground_mask(read_file(mask_path), name=str(mask_path), size_hw=size_hw)
        coded += coded_label_map(mask.astype(int))  # no mask where it is not visible
    return Sample(
        key=_key(frames[index]),
        dataset="sav",
        image=image,
        extension="jpg",
        size_hw=size_hw,
        annotations=annotate_coded(coded, size_hw, containment=containment),
        split=split,
        licence=LICENCE,
        source=inside(path, root),
    )
