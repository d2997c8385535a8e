"""Data Science Bowl 2018 (Caicedo et al. 2019, doi:10.1038/s41592-019-0612-7): nuclei.

Two layouts are read: `SPLIT/images/ID.png` beside the label map `SPLIT/labels/ID.png`, where 0 is
background; and Kaggle's `stage1_train/ID/images/ID.png` beside one binary mask a nucleus in
`stage1_train/ID/masks/`.
"""

from dataclasses import dataclass
from functools import partial

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
from maskspace.data.readers.coded_masks import coded_label_map
from maskspace.data.readers.label_maps import (
    binary_mask,
    read_file,
    read_label_map,
)
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks import encode
from maskspace.types import Sample

SPLITS = ("train", "val", "test")
KAGGLE = {"train": "stage1_train", "test": "stage1_test"}


@dataclass(frozen=True)
class _Field:
    """An image of nuclei: its split, file, and its label map or its folder of masks."""

    split: str
    image: AnyPath
    labels: AnyPath


def read_dsb2018(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image, with a mask for each nucleus.

    Splits are by image: two images of one experiment may be in different splits. Images of Kaggle's
    layout without a folder of masks, as stage1_test was first published, are left out.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train", "val" or "test" (default None: all three).
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError where no image is found (NoSplitError), and, when a sample is made, for a
    label map that is missing and for a mask without a pixel.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(1, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("train/images/a.png", photo), ("train/labels/a.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_dsb2018(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('train',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("dsb2018", split, SPLITS)
    folder = dataset_root(root)
    chosen = [s for s in SPLITS if split in (None, s)]
    fields = tuple(field for s in chosen for field in _fields(folder, s))
    if not fields:
        raise NoSplitError(
            f"{root}: no {chosen[0]}/images/*.png and no {KAGGLE['train']}/*/images/*.png; "
            "correct the root or the split",
            [s for s in SPLITS if _fields(folder, s)],
        )
    keys = distinct_keys([(one.image.stem, f"{one.split}-{one.image.stem}") for one in fields])
    fields, keys = fields[:limit], keys[:limit]
    return Source(
        keys=keys,
        splits=tuple(field.split for field in fields),
        read=partial(_sample, root=folder, fields=fields, keys=keys, containment=containment),
    )


def _fields(root: AnyPath, split: str) -> list[_Field]:
    images = files_by_stem(root / split / "images", "*.png")
    if images:
        folder = root / split / "labels"
        labels = files_by_stem(folder, "*.png")
        return [
            _Field(split, path, labels.get(stem, folder / f"{stem}.png"))
            for stem, path in images.items()
        ]
    paths = sorted(root.glob(f"{KAGGLE.get(split, split)}/*/images/*"), key=str)
    png_paths = [path for path in paths if path.suffix.lower() == ".png"]
    folders = [(path, path.parent.parent / "masks") for path in png_paths]
    return [_Field(split, path, masks) for path, masks in folders if masks.is_dir()]


def _sample(
    index: int,
    *,
    root: AnyPath,
    fields: tuple[_Field, ...],
    keys: tuple[str, ...],
    containment: float,
) -> Sample:
    field = fields[index]
    image = read_file(field.image)
    size_hw = image_size_hw(image, name=str(field.image))
    return Sample(
        key=keys[index],
        dataset="dsb2018",
        image=image,
        extension="png",
        size_hw=size_hw,
        annotations=annotate_coded(_nuclei(field, size_hw), size_hw, containment=containment),
        split=field.split,
        licence="CC0 1.0",
        source=inside(field.image, root),
    )


def _nuclei(field: _Field, size_hw: tuple[int, int]) -> list[Coded]:
    if field.labels.suffix.lower() == ".png":
        return coded_label_map(read_label_map(field.labels, size_hw))
    coded = []
    for path in files_by_stem(field.labels, "*.png").values():
        mask = binary_mask(read_file(path), name=str(path), size_hw=size_hw)
        if not mask.any():
            raise ValueError(f"{path}: marks no pixel; remove it")
        coded.append(Coded(counts=encode(mask[None])[0]))
    return coded
