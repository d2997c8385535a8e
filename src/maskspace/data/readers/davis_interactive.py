"""The DAVIS frames of interactive segmentation: 345 frames, all objects of a frame in one mask.

Layout: `img/STEM.jpg` beside `gt/STEM.png`, the evaluation set that RITM (Sofiiuk et al. 2021,
arXiv:2102.06583) distributes and SegNext (Liu et al. 2024, arXiv:2404.00741) reports on.
"""

from maskspace.data.annotations import CONTAINMENT
from maskspace.data.listings import check_split, dataset_root, files_by_stem, safe_key
from maskspace.data.readers.single_masks import ImageWithMask, pair_up, single_mask_source
from maskspace.data.source import Source

LICENCE = "see davischallenge.org; treated as non-commercial"


def read_davis_interactive(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each image of `img/`, by name, with one mask each.

    The mask is where the largest channel of the file in `gt/` is above 0. No pixel is to ignore.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "test" or None; both read everything, since the set is for testing only.
        containment: not used; an image has one mask.

    Raises ValueError where no image is found, and for an image without its mask.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("img/a.jpg", photo), ("gt/a.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_davis_interactive(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('test',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("davis_interactive", split, ("test",))
    folder = dataset_root(root)
    images = files_by_stem(folder / "img", "*.*")
    if not images:
        raise ValueError(f"{root}: no img/*.jpg in it; correct the root")
    pairs = pair_up(images, files_by_stem(folder / "gt", "*.*"), missing=f"{folder / 'gt'}")
    chosen = [
        ImageWithMask(key=safe_key(stem), image=image, mask=mask, licence=LICENCE, split="test")
        for stem, image, mask in pairs[:limit]
    ]
    return single_mask_source(chosen, dataset="davis_interactive", root=folder)
