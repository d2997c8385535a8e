"""COCO+LVIS made of COCO's panoptic and LVIS's own files (Sofiiuk et al. 2021, arXiv:2102.06583).

Layout: `annotations/panoptic_SPLIT2017.json` with its folder of PNGs, `lvis_v1_SPLIT.json` (in the
root or in `annotations/`), and the images in `SPLIT2017/`.

The masks of an image are made in these steps:
1. its instances are COCO's things that LVIS does not have, then LVIS's masks without
   near-duplicates;
2. the parent of a part is the smallest mask that holds most of it;
3. stuff is COCO's stuff less the instances.

Departures from the authors' script: LVIS's polygons are filled by pycocotools, not by OpenCV, which
differs at pixels of the outline; COCO's crowds are masks to ignore, not instances; the parent of a
part is the smallest mask that holds it, where the script takes the first that it meets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from maskspace.data.annotations import Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import distinct_keys, inside
from maskspace.data.readers.coco_json import (
    CocoImage,
    annotation_files,
    find_image,
    index_coco,
    read_annotations,
)
from maskspace.data.readers.coco_lvis_rule import parents_by_overlap, unite, without
from maskspace.data.readers.coded_masks import annotate_tree
from maskspace.data.readers.json_values import flag_of, whole_of
from maskspace.data.readers.label_maps import read_file, read_label_map
from maskspace.data.readers.segmentations import coded_annotations, require_some
from maskspace.data.source import Source
from maskspace.files import AnyPath
from maskspace.masks.coded import encode_runs
from maskspace.masks.runs import label_map_runs
from maskspace.types import Annotation, Sample

LICENCE = "annotations CC-BY-4.0 (COCO, LVIS); images under their Flickr licences"

#: COCO's category ids up to this one are things, those above it stuff.
LAST_THING = 90

#: Where LVIS's and COCO panoptic's JSON are; the first pattern that finds a file counts.
LVIS_FILES = ("annotations/lvis*.json", "lvis*.json")
PANOPTIC_FILES = ("annotations/panoptic*.json", "panoptic*.json")

#: A stuff mask has more pixels than this after it has lost those of instances.
MIN_STUFF = 500


@dataclass(frozen=True, kw_only=True)
class IndexEntry:
    """An image that both JSON files annotate.

    Args:
        split: its split, None where the file names say none.
        lvis_path: path of LVIS's JSON.
        lvis: the image's entry in LVIS's JSON.
        panoptic_path: path of COCO's panoptic JSON.
        panoptic: the image's entry in the panoptic JSON.

    Example:
        >>> from array import array
        >>> from pathlib import Path
        >>> names = ("000000000139.jpg",)
        >>> image = CocoImage(names=names, size_hw=None, licence="", places=array("q"))
        >>> entry = IndexEntry(
        ...     split="val",
        ...     lvis_path=Path("lvis_v1_val.json"),
        ...     lvis=image,
        ...     panoptic_path=Path("annotations/panoptic_val2017.json"),
        ...     panoptic=image,
        ... )
        >>> entry.stem
        '000000000139'
    """

    split: str | None
    lvis_path: AnyPath
    lvis: CocoImage
    panoptic_path: AnyPath
    panoptic: CocoImage

    @property
    def stem(self) -> str:
        """The image's name without suffix: COCO's twelve digits."""
        return _stem(self.panoptic)


@dataclass(frozen=True, kw_only=True)
class Panoptic:
    """The run-length strings of a panoptic PNG's segments: things, crowds and stuff.

    Example:
        >>> Panoptic(things=["04"], crowds=[], stuff=[]).things
        ['04']
    """

    things: list[str]
    crowds: list[str]
    stuff: list[str]


def read_union(
    root: AnyPath, *, limit: int | None, split: str | None, stuff: bool, containment: float | None
) -> Source:
    """Return one sample for each image that LVIS and COCO panoptic both annotate, by split and id.

    Args:
        root: the dataset's folder.
        limit: only the first so many samples (None: all).
        split: only this split (None: all of them).
        stuff: True adds the stuff masks after the instances, without a parent.
        containment: None takes the parents of the rule above; a share in (0, 1] finds parents anew,
            as for every other dataset.

    Raises ValueError where no image is in both files, and, when a sample is made, for files that do
    not fit each other.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> root = Path(tempfile.mkdtemp())
        >>> root.joinpath("panoptic_val2017").mkdir()
        >>> Image.new("RGB", (20, 20)).save(root / "139.jpg")
        >>> Image.new("RGB", (20, 20), (7, 0, 0)).save(root / "panoptic_val2017" / "139.png")
        >>> images = [{"id": 139, "file_name": "139.jpg"}]
        >>> left_half = [[0, 0, 10, 0, 10, 20, 0, 20]]  # x, y of each corner
        >>> lvis = {"image_id": 139, "segmentation": left_half}
        >>> coco = {"image_id": 139, "segments_info": [{"id": 7, "category_id": 1}]}
        >>> for name, annotation in ("lvis_v1_val.json", lvis), ("panoptic_val2017.json", coco):
        ...     content = {"images": images, "annotations": [annotation]}
        ...     _ = root.joinpath(name).write_text(json.dumps(content))
        >>> source = read_union(root, limit=None, split=None, stuff=False, containment=None)
        >>> source.keys, [(one.area, one.parent) for one in source[0].annotations]
        (('139',), [(400, None), (200, 1)])
    """
    lvis, panoptic = (
        annotation_files(root, patterns, given=None, split=split)
        for patterns in (LVIS_FILES, PANOPTIC_FILES)
    )
    entries = [
        entry
        for one_split in dict.fromkeys(file_split for _, file_split in lvis)
        for entry in _paired(
            *(
                [path for path, file_split in files if file_split == one_split]
                for files in (lvis, panoptic)
            ),
            split=one_split,
        )
    ]
    if not entries:
        raise ValueError(f"{root}: no image is in both LVIS's and COCO panoptic's JSON")
    names = [(entry.stem, f"{entry.split}-{entry.stem}", str(entry.lvis_path)) for entry in entries]
    keys = distinct_keys(names)[:limit]
    chosen = tuple(entries[:limit])
    return Source(
        keys=keys,
        splits=tuple(entry.split for entry in chosen),
        read=partial(
            _sample, root=root, entries=chosen, keys=keys, stuff=stuff, containment=containment
        ),
    )


def _paired(
    lvis_paths: list[AnyPath], panoptic_paths: list[AnyPath], *, split: str | None
) -> list[IndexEntry]:
    lvis, panoptic = (
        {_stem(image): (path, image) for path in paths for image in index_coco(path)}
        for paths in (lvis_paths, panoptic_paths)
    )
    return [
        IndexEntry(
            split=split,
            lvis_path=lvis[stem][0],
            lvis=lvis[stem][1],
            panoptic_path=panoptic[stem][0],
            panoptic=panoptic[stem][1],
        )
        for stem in sorted(lvis.keys() & panoptic.keys())
        if panoptic[stem][1].spans
    ]


def _stem(image: CocoImage) -> str:
    """Return the image's name in COCO: the last part of its URL, or of its file name.

    Older LVIS files have a file name with more than COCO's name in it.
    """
    return PurePosixPath(image.names[-1]).stem


def _sample(
    index: int,
    *,
    root: AnyPath,
    entries: tuple[IndexEntry, ...],
    keys: tuple[str, ...],
    stuff: bool,
    containment: float | None,
) -> Sample:
    entry = entries[index]
    path = find_image(entry.lvis, root, _image_folders(entry.split))
    encoded = read_file(path)
    size_hw = image_size_hw(encoded, name=str(path))
    if entry.lvis.size_hw not in (None, size_hw):
        raise ValueError(
            f"{entry.lvis_path}: says {entry.stem} is {entry.lvis.size_hw}, it is {size_hw} "
            "(h, w); pair the files again"
        )
    segments, segments_left_out = _panoptic(entry, size_hw)
    coded, left_out = coded_annotations(read_annotations(entry.lvis_path, entry.lvis), size_hw)
    require_some(coded, left_out, place=f"{entry.lvis_path}: {entry.stem}")
    return Sample(
        key=keys[index],
        dataset="coco_lvis",
        image=encoded,
        extension=path.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=_annotations(
            segments, [one.counts for one in coded], size_hw, stuff, containment
        ),
        split=entry.split,
        licence=LICENCE,
        source=inside(path, root),
        left_out=segments_left_out + left_out,
    )


def _image_folders(split: str | None) -> tuple[str, ...]:
    """Return the folders in which images may be; those of LVIS's val may be in COCO's train."""
    return ("", "images", *((f"{split}2017",) if split else ("train2017", "val2017")))


def _panoptic(entry: IndexEntry, size_hw: tuple[int, int]) -> tuple[Panoptic, tuple[str, ...]]:
    """Return the segments of an image's panoptic PNG, and a line for each that is left out.

    A segment of the PNG that the JSON does not list is void.
    """
    record = read_annotations(entry.panoptic_path, entry.panoptic)[0]
    png = entry.panoptic_path.with_suffix("") / f"{entry.stem}.png"
    ids, runs = label_map_runs(read_label_map(png, size_hw, coding="colour"))
    strings = dict(zip(ids.tolist(), encode_runs(runs, size_hw), strict=True))
    panoptic = Panoptic(things=[], crowds=[], stuff=[])
    segments = record.get("segments_info")
    if not isinstance(segments, list):
        raise ValueError(f"{entry.panoptic_path}: {entry.stem} has no list `segments_info`")
    left_out = [
        f"{png.name}: {fault}"
        for one in segments
        if (fault := _add_segment(one, strings, panoptic))
    ]
    return panoptic, tuple(left_out)


def _add_segment(segment: object, strings: Mapping[int, str], panoptic: Panoptic) -> str | None:
    """Add a listed segment to `panoptic`; return why that is impossible, or None."""
    try:
        if not isinstance(segment, Mapping):
            return "a segment is no object"
        identity = whole_of(segment.get("id"), what="id")
        category = whole_of(segment.get("category_id"), what="category_id")
        is_crowd = flag_of(segment.get("iscrowd"), what="iscrowd")
    except ValueError as error:
        return f"a segment's {error}"
    if identity is None or category is None or identity not in strings:
        return f"segment {identity} has no category or no pixel"
    strings_of_kind = panoptic.stuff if category > LAST_THING else panoptic.things
    (panoptic.crowds if is_crowd else strings_of_kind).append(strings[identity])
    return None


def _annotations(
    panoptic: Panoptic,
    lvis: list[str],
    size_hw: tuple[int, int],
    stuff: bool,
    containment: float | None,
) -> tuple[Annotation, ...]:
    instances = unite(panoptic.things, lvis, size_hw)
    roots = without(panoptic.stuff, instances, size_hw, above=MIN_STUFF) if stuff else []
    crowds = without(panoptic.crowds, instances, size_hw, above=0)
    if containment is None:
        parents = [*parents_by_overlap(instances, size_hw), *[None] * len(roots)]
        return annotate_tree([*instances, *roots], parents, size_hw, ignored=crowds)
    coded = [Coded(counts=counts) for counts in (*instances, *roots)]
    coded += [Coded(counts=counts, ignore=True) for counts in crowds]
    return annotate_coded(coded, size_hw, containment=containment)
