"""CamVid (Brostow et al. 2009, doi:10.1016/j.patrec.2008.04.005), SegNet's 11 classes of roads.

Layout: `SPLIT/X.png` (or `.jpg`) beside `SPLITannot/X.png`, where SPLIT is train, val or test. The
pixels of the second are classes 0 to 10, or 11 for void. Each class in an image is one mask; void
is a mask to ignore. With `split_components` the shards stage cuts the masks into connected
components.
"""

from functools import partial

from maskspace.data.annotations import CONTAINMENT, annotate_coded
from maskspace.data.images import image_size_hw
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
from maskspace.types import Category, Sample

SPLITS = ("train", "val", "test")
VOID = 11
#: SegNet's classes; their masks do not tell one car from the next, so that all are stuff.
CATEGORIES = tuple(
    Category(id=number, name=name, is_thing=False)
    for number, name in enumerate(
        (
            "Sky",
            "Building",
            "Pole",
            "Road",
            "Pavement",
            "Tree",
            "SignSymbol",
            "Fence",
            "Car",
            "Pedestrian",
            "Bicyclist",
        )
    )
)


def read_camvid(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each frame, with a mask for each class that the frame shows.

    The splits are the published ones. Frames of one drive are in more than one split.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" (default None: all three).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError where no frame is found (NoSplitError), and, when a sample is made, for a
    label map that is missing, has another size, or has a class above 11.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(3, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("val/a.png", photo), ("valannot/a.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_camvid(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('val',))
        >>> [(source.categories[one.category].name, one.area) for one in source[0].annotations]
        [('Sky', 24), ('Road', 24)]
    """
    check_split("camvid", split, SPLITS)
    folder = dataset_root(root)
    pairs = [
        (pair_split, image, _label_path(folder / f"{pair_split}annot", stem))
        for pair_split in SPLITS
        if split in (None, pair_split)
        for stem, image in files_by_stem(folder / pair_split, "*.[pj][np]g").items()
    ]
    if not pairs:
        raise NoSplitError(
            f"{root}: no {split or 'train'}/*.png or *.jpg; correct the root",
            [
                pair_split
                for pair_split in SPLITS
                if files_by_stem(folder / pair_split, "*.[pj][np]g")
            ],
        )
    keys = distinct_keys(
        [(image.stem, f"{pair_split}-{image.stem}") for pair_split, image, _ in pairs]
    )[:limit]
    pairs = pairs[:limit]
    return Source(
        keys=keys,
        splits=tuple(pair_split for pair_split, _, _ in pairs),
        read=partial(_sample, root=folder, pairs=tuple(pairs), keys=keys, containment=containment),
        categories=CATEGORIES,
    )


def _label_path(folder: AnyPath, stem: str) -> AnyPath:
    lower_case, upper_case = folder / f"{stem}.png", folder / f"{stem}.PNG"
    return upper_case if upper_case.is_file() and not lower_case.is_file() else lower_case


def _sample(
    index: int,
    *,
    root: AnyPath,
    pairs: tuple[tuple[str, AnyPath, AnyPath], ...],
    keys: tuple[str, ...],
    containment: float,
) -> Sample:
    split, path, label_path = pairs[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    classes = read_label_map(label_path, size_hw)
    if classes.max() > VOID:
        raise ValueError(f"{label_path}: class {classes.max()}; CamVid has 0 to {VOID} (void)")
    return Sample(
        key=keys[index],
        dataset="camvid",
        image=image,
        extension=path.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=annotate_coded(
            coded_label_map(
                classes,
                background=None,
                ignored=VOID,
                categories={one.id: one.id for one in CATEGORIES},
            ),
            size_hw,
            containment=containment,
        ),
        split=split,
        licence="non-commercial (SegNet's copy: CC BY-NC 4.0)",
        source=inside(path, root),
    )
