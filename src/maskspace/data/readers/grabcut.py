"""GrabCut (Rother et al. 2004, doi:10.1145/1015706.1015720): one object a photo.

Layout: `data_GT/ID.jpg` beside `boundary_GT/ID.png` (or `.bmp`, as published). In the second, 0 is
background, 255 is the object, and 128 is a band along its outline in which nothing counts.
"""

from functools import partial

import numpy as np

from maskspace.data.annotations import CONTAINMENT, Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import check_split, dataset_root, files_by_stem, inside, safe_key
from maskspace.data.readers.label_maps import grey_values, read_file
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks import encode
from maskspace.types import Sample

UNKNOWN, OBJECT = 128, 255


def read_grabcut(
    root: str,
    *,
    seed: int,
    limit: int | None,
    split: str | None = None,
    containment: float = CONTAINMENT,
) -> Source:
    """Return one sample for each photo: the mask of its object, and its unknown band to ignore.

    Args:
        root: folder of the dataset, as a path or an fsspec URL.
        seed: not used, since nothing is drawn; it is there because every reader has it.
        limit: only the first so many samples (None: all).
        split: "test" or None; both read everything, since the set is for testing only.
        containment: share in (0, 1]; the parent of a mask is the smallest larger mask that holds at
            least this share of its pixels (default 0.95).

    Raises ValueError where no photo is found, for a photo or a mask without the other, and for a
    mask with other values than 0, 128 and 255 or without 255.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> photo, mask = Image.new("RGB", (8, 6)), Image.new("L", (8, 6))  # 8 columns, 6 rows
        >>> mask.paste(255, (0, 0, 4, 6))  # the left half
        >>> for name, image in ("data_GT/a.jpg", photo), ("boundary_GT/a.png", mask):
        ...     root.joinpath(name).parent.mkdir(parents=True)
        ...     image.save(root / name)
        >>> source = read_grabcut(str(root), seed=0, limit=None)
        >>> source.keys, source.splits
        (('a',), ('test',))
        >>> sample = source[0]
        >>> sample.size_hw, [one.area for one in sample.annotations]
        ((6, 8), [24])
    """
    check_split("grabcut", split, ("test",))
    folder = dataset_root(root)
    images = files_by_stem(folder / "data_GT", "*.*")
    masks = files_by_stem(folder / "boundary_GT", "*.*")
    if not images:
        raise ValueError(f"{root}: no data_GT/*.jpg; correct the root")
    for stem in images.keys() ^ masks.keys():
        paths, other_folder = (images, "boundary_GT") if stem in images else (masks, "data_GT")
        raise ValueError(f"{paths[stem]}: no {stem} in {other_folder}; fetch the dataset again")
    pairs = tuple((images[stem], masks[stem]) for stem in images)[:limit]
    return Source(
        keys=tuple(safe_key(image.stem) for image, _ in pairs),
        splits=("test",) * len(pairs),
        read=partial(_sample, root=folder, pairs=pairs, containment=containment),
    )


def _sample(
    index: int,
    *,
    root: AnyPath,
    pairs: tuple[tuple[AnyPath, AnyPath], ...],
    containment: float,
) -> Sample:
    path, mask_path = pairs[index]
    image = read_file(path)
    size_hw = image_size_hw(image, name=str(path))
    values = grey_values(read_file(mask_path), name=str(mask_path), size_hw=size_hw)
    other_values = np.setdiff1d(values, (0, UNKNOWN, OBJECT))
    if len(other_values) or not (values == OBJECT).any():
        reason = f"holds {other_values[0]}" if len(other_values) else "has no 255"
        raise ValueError(f"{mask_path}: {reason}; GrabCut has 0, 128 (unknown) and 255 (object)")
    band = encode((values == UNKNOWN)[None]) if (values == UNKNOWN).any() else []
    coded = [Coded(counts=encode((values == OBJECT)[None])[0])]
    coded += [Coded(counts=counts, ignore=True) for counts in band]
    return Sample(
        key=safe_key(path.stem),
        dataset="grabcut",
        image=image,
        extension=path.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=annotate_coded(coded, size_hw, containment=containment),
        split="test",
        licence="unknown; made for research (Rother et al. 2004)",
        source=inside(path, root),
    )
