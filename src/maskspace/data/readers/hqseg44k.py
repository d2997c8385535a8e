"""HQSeg-44K (Ke et al. 2023, arXiv:2306.01567): 44 320 images to train on, 1 537 to validate.

Layout: the folder tree that sam-hq documents; each image has a mask of the same stem. The sub-sets
come in the order in which SegNext (Liu et al. 2024, arXiv:2404.00741) lists them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from maskspace.config import lookup
from maskspace.data.annotations import CONTAINMENT
from maskspace.data.listings import check_split, dataset_root, files_by_stem, safe_key
from maskspace.data.readers.single_masks import ImageWithMask, pair_up, single_mask_source
from maskspace.data.source import Source
from maskspace.files import AnyPath


@dataclass(frozen=True)
class Subset:
    """A part of HQSeg-44K: its split, and the folders of its images and of its masks.

    Example:
        >>> SUBSETS["dis-val"]
        Subset(split='val', images='DIS5K/DIS-VD/im', masks='DIS5K/DIS-VD/gt')
    """

    split: str
    images: str
    masks: str


def _beside(folder: str) -> Subset:
    return Subset("train", f"cascade_psp/{folder}", f"cascade_psp/{folder}")


def _thin(split: str, images: str, masks: str) -> Subset:
    return Subset(split, f"thin_object_detection/{images}", f"thin_object_detection/{masks}")


#: The sub-sets by name, in order: train, then val.
SUBSETS: Mapping[str, Subset] = {
    "dis-train": Subset("train", "DIS5K/DIS-TR/im", "DIS5K/DIS-TR/gt"),
    "thin-train": _thin("train", "ThinObject5K/images_train", "ThinObject5K/masks_train"),
    "fss": _beside("fss_all"),
    "duts-train": _beside("DUTS-TR"),
    "duts-test": _beside("DUTS-TE"),
    "ecssd": _beside("ecssd"),
    "msra": _beside("MSRA_10K"),
    "dis-val": Subset("val", "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
    "thin-test": _thin("val", "ThinObject5K/images_test", "ThinObject5K/masks_test"),
    "coift": _thin("val", "COIFT/images", "COIFT/masks"),
    "hrsod": _thin("val", "HRSOD/images", "HRSOD/masks_max255"),
}


def read_hqseg44k(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    subsets: tuple[str, ...] | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image, sub-set by sub-set and by name, with one mask each.

    The mask is where the largest channel of the mask file is above 0: every grey but black belongs
    to it, not only the lighter half. A key is the name of the sub-set, a hyphen and the stem.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "train" or "val" (default None: both).
        subsets: names of sub-sets in `SUBSETS`, only these are read (default None: all).
        containment: not used; an image has one mask.

    Raises ValueError in one line that names all sub-sets that are not there, and for an image
    without its mask.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> files = {
        ...     "DIS5K/DIS-VD/im/a.jpg": photo,
        ...     "DIS5K/DIS-VD/gt/a.png": mask,
        ... }
        >>> for name, image in files.items():
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_hqseg44k(str(root), seed=0, limit=None, subsets=("dis-val",))
        >>> source.keys, source.splits
        (('dis-val-a',), ('val',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("hqseg44k", split, ("train", "val"))
    for name in subsets or ():
        lookup(SUBSETS, name, kind="hqseg44k: subset")
    folder = dataset_root(root)
    pairs_by_subset = {
        name: _pairs(folder, name, subset)
        for name, subset in SUBSETS.items()
        if split in (None, subset.split) and (subsets is None or name in subsets)
    }
    missing = [
        f"{name} ({SUBSETS[name].images})" for name, pairs in pairs_by_subset.items() if not pairs
    ]
    if missing or not pairs_by_subset:
        missing_names = ", ".join(missing) or f"the split {split} among the chosen subsets"
        raise ValueError(
            f"{root}: no images of {missing_names}; fetch them, or choose other subsets"
        )
    pairs = [pair for pairs_of_subset in pairs_by_subset.values() for pair in pairs_of_subset]
    return single_mask_source(pairs[:limit], dataset="hqseg44k", root=folder)


def _pairs(root: AnyPath, name: str, subset: Subset) -> list[ImageWithMask]:
    images = files_by_stem(root / subset.images, "*.jp*g")
    masks = files_by_stem(root / subset.masks, "*.png")
    return [
        ImageWithMask(
            key=safe_key(f"{name}-{stem}"),
            image=image,
            mask=mask,
            licence=f"research only, terms of {name}",
            split=subset.split,
        )
        for stem, image, mask in pair_up(images, masks, missing=str(root / subset.masks))
    ]
