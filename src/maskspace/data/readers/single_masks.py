"""One image, one mask file, one object: the layouts of the interactive segmentation benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from maskspace.data.annotations import annotate
from maskspace.data.images import image_size_hw
from maskspace.data.listings import inside
from maskspace.data.readers.label_maps import foreground_mask, read_file
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.types import Sample


@dataclass(frozen=True, kw_only=True)
class ImageWithMask:
    """Where an image and its mask are, and what is known of them without reading them.

    Args:
        key: the key of the sample.
        image: path of the image.
        mask: path of the mask.
        licence: the licence of the sample.
        split: its split (default None: none).

    Example:
        >>> from pathlib import Path
        >>> pair = ImageWithMask(key="a", image=Path("a.jpg"), mask=Path("a.png"), licence="CC0")
        >>> pair.split is None
        True
    """

    key: str
    image: AnyPath
    mask: AnyPath
    licence: str
    split: str | None = None


def single_mask_source(pairs: list[ImageWithMask], *, dataset: str, root: AnyPath) -> Source:
    """Return the source of one sample for each pair, in the order of the pairs.

    Args:
        pairs: the images with their masks.
        dataset: the name of the dataset in the samples.
        root: the folder that the sources of the samples are relative to.

    Making a sample raises ValueError for a mask of another size, or without a pixel.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> Image.new("RGB", (8, 6)).save(root / "a.jpg")
        >>> Image.new("L", (8, 6), 255).save(root / "a.png")
        >>> pair = ImageWithMask(key="a", image=root / "a.jpg", mask=root / "a.png", licence="CC0")
        >>> source = single_mask_source([pair], dataset="toy", root=root)
        >>> source.keys, source[0].annotations[0].area
        (('a',), 48)
    """
    return Source(
        keys=tuple(pair.key for pair in pairs),
        splits=tuple(pair.split for pair in pairs),
        read=partial(_sample, pairs=tuple(pairs), dataset=dataset, root=root),
    )


def _sample(index: int, *, pairs: tuple[ImageWithMask, ...], dataset: str, root: AnyPath) -> Sample:
    pair = pairs[index]
    image = read_file(pair.image)
    size_hw = image_size_hw(image, name=str(pair.image))
    mask = foreground_mask(read_file(pair.mask), name=str(pair.mask), size_hw=size_hw)
    if not mask.any():
        raise ValueError(f"{pair.mask}: marks no pixel; remove it and its image")
    return Sample(
        key=pair.key,
        dataset=dataset,
        image=image,
        extension=pair.image.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=annotate(mask[None]),
        split=pair.split,
        licence=pair.licence,
        source=inside(pair.image, root),
    )


def pair_up(
    images: Mapping[str, AnyPath], masks: Mapping[str, AnyPath], *, missing: str
) -> list[tuple[str, AnyPath, AnyPath]]:
    """Return stem, image and mask of every image.

    Args:
        images: images by stem.
        masks: masks by stem; those without an image are left out.
        missing: the folder of the masks, for the error.

    Raises ValueError for the first image without a mask.

    Example:
        >>> from pathlib import Path
        >>> pair_up({"a": Path("img/a.jpg")}, {"a": Path("gt/a.png")}, missing="gt")[0][0]
        'a'
        >>> pair_up({"a": Path("img/a.jpg")}, {}, missing="gt")
        Traceback (most recent call last):
            ...
        ValueError: img/a.jpg: no mask gt/a.png; fetch the dataset again
    """
    for stem, image in images.items():
        if stem not in masks:
            raise ValueError(f"{image}: no mask {missing}/{stem}.png; fetch the dataset again")
    return [(stem, image, masks[stem]) for stem, image in images.items()]
