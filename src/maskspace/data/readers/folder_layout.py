"""Which mask files belong to which image of a folder, in the layouts that people use.

    images/**/X.jpg    labels/**/X.png, masks/**/X.png, masks/**/X/*.png, masks/X.jpg/*.png
    images/X.jpg       masks/X_mask.png, X_segmentation.png, …: one ending for all
    images/X_image.jpg masks/X_mask.png: an ending in each, the image's one of IMAGE_ENDINGS
    X.jpg              X_mask.png beside it

Each layout may also be there once for each split, in a folder of the split's name. Names are
compared as they look: composed and decomposed Unicode are equal. The case of suffixes, and of the
names of the two folders, does not matter.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maskspace.data.listings import SPLIT_WORDS, NoSplitError, inside, natural
from maskspace.files import AnyPath

IMAGES = (
    ".jpg", ".jpeg", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".gif",
    ".ppm", ".pgm", ".pbm", ".jp2",
)  # fmt: skip
LABELS = (*IMAGES, ".npz")

#: Names of the folder of the images, and of the folder of label maps or of binary masks.
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "jpegimages", "photos")
LABEL_FOLDERS = ("labels", "label", "labelmaps", "segmentationobject")
MASK_FOLDERS = ("masks", "mask")

#: What mask files have beyond the name of their image; with one of MASK_ENDINGS they are binary.
MASK_ENDINGS = (
    "_mask", "_masks", "-mask", ".mask", "_matte", "_segmentation", "_seg", "_manual1", ".ah",
)  # fmt: skip
ENDINGS = (
    *MASK_ENDINGS, "_label", "_labels", "_gt", "_instance", "_instances", "_L",
    "_gtFine_labelIds", "_gtFine_instanceIds",
)  # fmt: skip

#: What an image's name may have instead of its mask file's ending (DRIVE, Cityscapes, DeepGlobe).
IMAGE_ENDINGS = ("_training", "_test", "_leftImg8bit", "_image", "_sat")

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names in a layout; None stands for what `find_pairs` finds out.

    Args:
        images: name of the folder of the images (default None).
        labels: name of the folder of the label maps or masks (default None).
        kind: "labels" or "masks" (default None).
        ending: what the name of a mask file has beyond the name of its image (default None).
        flat: True where images and masks are in one folder (default False).

    Example:
        >>> Names(images="photos", labels="truth", kind="masks").ending is None  # found out
        True
    """

    images: str | None = None
    labels: str | None = None
    kind: str | None = None
    ending: str | None = None
    flat: bool = False


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image with its mask files.

    Args:
        image: path of the image.
        masks: paths of its mask files, in natural order.
        split: its split, None where the folders name none.
        place: its path below the folder of the images, without suffix.

    Example:
        >>> from pathlib import Path
        >>> masks = (Path("masks/a/0.png"), Path("masks/a/1.png"))
        >>> pair = Pair(image=Path("images/a.jpg"), masks=masks, split=None, place="a")
        >>> len(pair.masks), pair.place
        (2, 'a')
    """

    image: AnyPath
    masks: tuple[AnyPath, ...]
    split: str | None
    place: str


@dataclass(frozen=True, kw_only=True)
class Found:
    """The pairs of a folder.

    Args:
        pairs: the pairs, split by split, in natural order.
        kind: what the mask files are, "labels" or "masks".
        notes: lines that say what was guessed.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("images/a.jpg", "labels/a.png"):
        ...     root.joinpath(name).parent.mkdir()
        ...     root.joinpath(name).touch()
        >>> find_pairs(root, Names(), split=None).kind
        'labels'
    """

    pairs: tuple[Pair, ...]
    kind: str
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The images of one split by their places, and the folder of their masks with its files."""

    split: str | None
    images: Mapping[str, AnyPath]
    folder: AnyPath
    masks: Sequence[AnyPath]


def find_pairs(root: AnyPath, names: Names, *, split: str | None) -> Found:
    """Return the images of a folder with their mask files, in natural order.

    Args:
        root: the dataset's folder.
        names: the names that the user gives.
        split: only this split (None: all splits that have a folder, or the root itself).

    Raises ValueError for an image without masks, for masks without an image, for two files of one
    name, and for a folder that is not there.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("images/a.jpg", "masks/a_mask.png"):
        ...     root.joinpath(name).parent.mkdir()
        ...     root.joinpath(name).touch()
        >>> pair = find_pairs(root, Names(), split=None).pairs[0]
        >>> pair.image.name, pair.masks[0].name
        ('a.jpg', 'a_mask.png')
    """
    folders = _split_folders(root, names, split)
    folder_names = None if names.flat else _two_folders(folders[0][1], names)
    if folder_names is None:
        flat_parts = [
            _flat(part_split, folder, names.ending or _flat_ending(folder))
            for part_split, folder in folders
        ]
        parts, endings = [part for part, _ in flat_parts], [ending for _, ending in flat_parts]
        sentences = [f"masks are the files whose names end with {endings[0]}"]
        is_binary = not names.flat and endings[0] in MASK_ENDINGS
    else:
        parts = [
            _beside(part_split, folder / folder_names[0], folder / folder_names[1])
            for part_split, folder in folders
        ]
        endings = [_ending(part, names.ending) for part in parts]
        sentences = [f"images in {folder_names[0]}, masks in {folder_names[1]}"]
        sentences += [f"masks end with {one}" for one in dict.fromkeys(endings) if one]
        is_binary = folder_names[1].rpartition("/")[2].lower() in MASK_FOLDERS
    kind = names.kind or ("masks" if is_binary else "labels")
    sentences += [
        f"images may end with {one} in place of it"
        for one in IMAGE_ENDINGS
        if any(endings) and any(place.endswith(one) for part in parts for place in part.images)
    ]
    sentences.append(f"read as {'binary masks' if kind == 'masks' else 'label maps'}")
    sentences += [
        f"splits by the folders' names: {', '.join(f.name for s, f in folders if s)}"
    ] * bool(folders[0][0])
    pairs = [
        pair for part, ending in zip(parts, endings, strict=True) for pair in _paired(part, ending)
    ]
    return Found(pairs=tuple(pairs), kind=kind, notes=("; ".join(sentences),))


def _split_folders(
    root: AnyPath, names: Names, split: str | None
) -> list[tuple[str | None, AnyPath]]:
    """Return the folders that hold a layout, with their splits: those of splits, or the root."""
    by_split: dict[str, AnyPath] = {}
    for path in _folders_in(root):
        name = SPLIT_WORDS.get(path.name.lower())
        if name and (names.flat or _named(path, names.images, IMAGE_FOLDERS)):
            if name in by_split:
                raise ValueError(f"{path}: {by_split[name]} is of the same split; keep one of them")
            by_split[name] = path
    if split is not None and split not in by_split:
        raise NoSplitError(
            f"{root}: no folder {split}/{names.images or 'images'}; correct the root or the split",
            by_split,
        )
    chosen: list[tuple[str | None, AnyPath]] = [
        (one_split, by_split[one_split])
        for one_split in SPLITS
        if one_split in by_split and split in (None, one_split)
    ]
    whole: list[tuple[str | None, AnyPath]] = [(None, root)]
    return chosen or whole


def _folders_in(folder: AnyPath) -> list[AnyPath]:
    folders = (path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else ()
    return sorted(folders, key=lambda path: path.name)


def _named(folder: AnyPath, given: str | None, known: Sequence[str]) -> AnyPath | None:
    """Return the folder called `given` in a folder, or the first `known` name in any case."""
    if given is not None:
        return folder / given if (folder / given).is_dir() else None
    by_name = {path.name.lower(): path for path in reversed(_folders_in(folder))}
    return next((by_name[name] for name in known if name in by_name), None)


def _two_folders(part: AnyPath, names: Names) -> tuple[str, str] | None:
    """Return the names of the folders of images and masks; None where all is in one folder."""
    images = _named(part, names.images, IMAGE_FOLDERS)
    if images is None and names.images is None and (names.ending or _flat_ending(part)):
        return None
    if images is None:
        raise _no_folder(part / (names.images or "images"))
    masks = _named(part, names.labels, (*LABEL_FOLDERS, *MASK_FOLDERS))
    if masks is None:
        raise _no_folder(part / (names.labels or "labels"))
    return inside(images, part), inside(masks, part)


def _no_folder(path: AnyPath) -> ValueError:
    return ValueError(f"{path}: no such folder; name it with the options images, labels")


def _beside(split: str | None, images: AnyPath, masks: AnyPath) -> _Part:
    for folder in (images, masks):
        if not folder.is_dir():
            raise _no_folder(folder)
    paths = [path for path in _below(images) if path.suffix.lower() in IMAGES and path.is_file()]
    return _Part(split=split, images=_by_place(paths, images), folder=masks, masks=_below(masks))


def _flat(split: str | None, folder: AnyPath, ending: str | None) -> tuple[_Part, str]:
    """Return the images and masks of a folder that has both, and the ending of the masks' names."""
    if not ending:
        raise ValueError("folder: the suffix is empty; give what label files have more, as _mask")
    files = [path for path in _below(folder) if path.parent == folder and path.is_file()]
    masks = [path for path in files if path.stem.endswith(ending)]
    images = [p for p in files if p not in masks and p.suffix.lower() in IMAGES]
    part = _Part(split=split, images=_by_place(images, folder), folder=folder, masks=masks)
    return part, ending


def _flat_ending(folder: AnyPath) -> str | None:
    """Return the first known ending that some file has beyond another file's name, or None."""
    stems = {
        _composed(path.stem)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.suffix.lower() in LABELS and not path.name.startswith(".")
    }
    endings = (e for e in ENDINGS if any(f"{stem}{e}" in stems for stem in stems))
    return next(endings, None)


def _below(folder: AnyPath) -> list[AnyPath]:
    """Return the label files and folders under a folder, in natural order, without hidden ones."""
    depth = len(folder.parts)
    visible = [
        path
        for path in folder.glob("**/*")
        if not any(part.startswith(".") for part in path.parts[depth:])
        and (path.suffix.lower() in LABELS or path.is_dir())
    ]
    return sorted(visible, key=lambda path: natural("/".join(path.parts[depth:])))


def _place(path: AnyPath, folder: AnyPath) -> str:
    return _composed("/".join(path.parts[len(folder.parts) :]))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _without_suffix(place: str) -> str:
    head, dot, suffix = place.rpartition(".")
    return head if dot and f".{suffix.lower()}" in LABELS else place


def _by_place(paths: Sequence[AnyPath], folder: AnyPath) -> dict[str, AnyPath]:
    by_place: dict[str, AnyPath] = {}
    for path in paths:
        place = _without_suffix(_place(path, folder))
        if place in by_place:
            raise ValueError(
                f"{path}: {by_place[place].name} is of the same name; remove one of them"
            )
        by_place[place] = path
    return by_place


def _owner(path: AnyPath, part: _Part, ending: str) -> tuple[str, bool] | None:
    """Return the place of a mask file's image, and if it is one of several; None without image."""
    stem = _without_suffix(_place(path, part.folder))
    if ending:
        if not stem.endswith(ending):
            return None
        places = (stem.removesuffix(ending) + image_ending for image_ending in ("", *IMAGE_ENDINGS))
        return next(((place, False) for place in places if place in part.images), None)
    if stem in part.images:
        return stem, False
    without_two_suffixes = _without_suffix(stem)  # X.jpg.png
    if without_two_suffixes in part.images and without_two_suffixes != stem:
        return without_two_suffixes, False
    folder = stem.rpartition("/")[0]
    for place in (folder, _without_suffix(folder)):
        if place in part.images:
            return place, True
    return None


def _ending(part: _Part, given: str | None) -> str:
    """Return the ending of a part's mask files: the given one, else "" or a usual one."""
    if given is not None:
        return given
    files = [path for path in part.masks if not path.is_dir()]
    if any(_owner(path, part, "") for path in files):
        return ""
    endings = (e for e in ENDINGS if files and all(_owner(path, part, e) for path in files))
    return next(endings, "")


def _paired(part: _Part, ending: str) -> list[Pair]:
    where_looked = f"in {part.folder}" if not ending else f"with the ending {ending}"
    masks_by_place: dict[str, list[AnyPath]] = {}
    places_with_folders: set[str] = set()
    errors: list[str] = []
    for path in part.masks:
        if path.is_dir() and _without_suffix(_place(path, part.folder)) not in part.images:
            continue
        owner = _owner(path, part, ending)
        if owner is None:
            stem = _without_suffix(_place(path, part.folder)).removesuffix(ending)
            errors.append(f"{path}: labels without an image {stem}; remove one or add one")
            continue
        place, is_one_of_several = owner
        masks = masks_by_place.setdefault(place, [])
        if path.is_dir():
            places_with_folders.add(place)
            continue
        if masks and not (is_one_of_several and place in places_with_folders):
            raise ValueError(f"{path}: {masks[0].name} is of the same name; remove one of them")
        masks.append(path)
    for place, image in part.images.items():
        if place not in masks_by_place:
            raise ValueError(f"{image}: no labels {where_looked}; add them or remove the image")
    if errors:
        raise ValueError(errors[0])
    return [
        Pair(image=image, masks=tuple(masks_by_place[place]), split=part.split, place=place)
        for place, image in part.images.items()
    ]
