"""COCO+LVIS made of COCO's panoptic and LVIS's own files (Sofiiuk et al. 2021, arXiv:2102.06583).

Layout: `annotations/panoptic_SPLIT2017.json` with its folder of PNGs, `lvis_v1_SPLIT.json` (in the
root or in `annotations/`), and the images in `SPLIT2017/`.

The masks of an image are made in these steps:
1. its instances are COCO's things that LVIS does not have, then LVIS's masks without
   near-duplicates;
2. the parent of a part is the smallest mask that holds most of it;
3. stuff is COCO's stuff less the instances.
Each keeps the category that it has in its own file; see `joint_table`.

Departures from the authors' script: LVIS's polygons are filled by pycocotools, not by OpenCV, which
differs at pixels of the outline; COCO's crowds are masks to ignore, not instances; the parent of a
part is the smallest mask that holds it, where the script takes the first that it meets.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from maskspace.data.annotations import Coded, annotate_coded
from maskspace.data.images import image_size_hw
from maskspace.data.listings import distinct_keys, inside
from maskspace.data.readers.coco_json import (
    CocoImage,
    CocoIndex,
    annotation_files,
    category_said,
    find_image,
    index_json,
    merged_categories,
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
from maskspace.types import Annotation, Category, Sample

LICENCE = "annotations CC-BY-4.0 (COCO, LVIS); images under their Flickr licences"

#: COCO's category ids up to this one are things, those above it stuff.
LAST_THING = 90

#: What is added to the ids of LVIS's categories: COCO's are lower.
LVIS_IDS = 1000

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
    """The masks of a panoptic PNG's segments: things, crowds and stuff.

    Example:
        >>> panoptic = Panoptic(things=[Coded(counts="04", category=1)], crowds=[], stuff=[])
        >>> panoptic.things[0].category
        1
    """

    things: list[Coded]
    crowds: list[Coded]
    stuff: list[Coded]


@dataclass(frozen=True, kw_only=True)
class Table:
    """The categories of COCO and LVIS together, and where those of LVIS are in it.

    Example:
        >>> joint_table((Category(id=1, name="person"),), ()).categories[0].name
        'person'
    """

    categories: tuple[Category, ...]
    of_lvis: Mapping[int, int]


def joint_table(coco: Sequence[Category], lvis: Sequence[Category]) -> Table:
    """Return COCO's categories, then those of LVIS under its ids + LVIS_IDS.

    A category of LVIS that has the name of a thing of COCO is that one. One that has the name of
    COCO's stuff is another: its name ends with " (LVIS)".

    Example:
        >>> coco = Category(id=1, name="person"), Category(id=199, name="rug", is_thing=False)
        >>> lvis = Category(id=793, name="person"), Category(id=900, name="rug")
        >>> table = joint_table(coco, lvis)
        >>> [(one.id, one.name) for one in table.categories]
        [(1, 'person'), (199, 'rug'), (1900, 'rug (LVIS)')]
        >>> table.of_lvis
        {793: 1, 900: 1900}
    """
    things = {one.name: one.id for one in coco if one.is_thing}
    stuff = {one.name for one in coco if not one.is_thing}
    of_lvis = {one.id: things.get(one.name, one.id + LVIS_IDS) for one in lvis}
    own = [one for one in lvis if one.name not in things]
    for one in coco:
        if one.id > LVIS_IDS:
            raise ValueError(f"COCO's category {one.id} is above {LVIS_IDS}; correct the table")
    added = (
        Category(id=one.id + LVIS_IDS, name=f"{one.name} (LVIS)" if one.name in stuff else one.name)
        for one in own
    )
    return Table(categories=(*coco, *added), of_lvis=of_lvis)


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
    indexed = {path: index_json(path) for path, _ in (*lvis, *panoptic)}
    entries = [
        entry
        for one_split in dict.fromkeys(file_split for _, file_split in lvis)
        for entry in _paired(
            *(
                {path: indexed[path] for path, file_split in files if file_split == one_split}
                for files in (lvis, panoptic)
            ),
            split=one_split,
        )
    ]
    if not entries:
        raise ValueError(f"{root}: no image is in both LVIS's and COCO panoptic's JSON")
    coco, of_lvis = (
        merged_categories((str(path), indexed[path].categories) for path, _ in files)
        for files in (panoptic, lvis)
    )
    table = joint_table(coco, of_lvis)
    names = [(entry.stem, f"{entry.split}-{entry.stem}", str(entry.lvis_path)) for entry in entries]
    keys = distinct_keys(names)[:limit]
    chosen = tuple(entries[:limit])
    return Source(
        keys=keys,
        splits=tuple(entry.split for entry in chosen),
        read=partial(
            _sample,
            root=root,
            entries=chosen,
            keys=keys,
            table=table,
            stuff=stuff,
            containment=containment,
        ),
        categories=table.categories,
    )


def _paired(
    of_lvis: Mapping[AnyPath, CocoIndex], of_coco: Mapping[AnyPath, CocoIndex], *, split: str | None
) -> list[IndexEntry]:
    lvis, panoptic = (
        {_stem(image): (path, image) for path, index in files.items() for image in index.images}
        for files in (of_lvis, of_coco)
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
    table: Table,
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
    known = frozenset(one.id for one in table.categories)
    segments, segments_left_out = _panoptic(entry, size_hw, known)
    coded, left_out = coded_annotations(
        read_annotations(entry.lvis_path, entry.lvis),
        size_hw,
        category=lambda record: table.of_lvis.get(category_said(record) or 0),
    )
    require_some(coded, left_out, place=f"{entry.lvis_path}: {entry.stem}")
    return Sample(
        key=keys[index],
        dataset="coco_lvis",
        image=encoded,
        extension=path.suffix[1:].lower(),
        size_hw=size_hw,
        annotations=_annotations(segments, coded, size_hw, stuff, containment),
        split=entry.split,
        licence=LICENCE,
        source=inside(path, root),
        left_out=segments_left_out + left_out,
    )


def _image_folders(split: str | None) -> tuple[str, ...]:
    """Return the folders in which images may be; those of LVIS's val may be in COCO's train."""
    return ("", "images", *((f"{split}2017",) if split else ("train2017", "val2017")))


def _panoptic(
    entry: IndexEntry, size_hw: tuple[int, int], known: Set[int]
) -> tuple[Panoptic, tuple[str, ...]]:
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
        if (fault := _add_segment(one, strings, panoptic, known))
    ]
    return panoptic, tuple(left_out)


def _add_segment(
    segment: object, strings: Mapping[int, str], panoptic: Panoptic, known: Set[int]
) -> str | None:
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
    masks_of_kind = panoptic.stuff if category > LAST_THING else panoptic.things
    mask = Coded(
        counts=strings[identity], ignore=is_crowd, category=category if category in known else None
    )
    (panoptic.crowds if is_crowd else masks_of_kind).append(mask)
    return None


def _annotations(
    panoptic: Panoptic,
    lvis: list[Coded],
    size_hw: tuple[int, int],
    stuff: bool,
    containment: float | None,
) -> tuple[Annotation, ...]:
    instances = unite(panoptic.things, lvis, size_hw)
    roots = without(panoptic.stuff, instances, size_hw, above=MIN_STUFF) if stuff else []
    crowds = without(panoptic.crowds, instances, size_hw, above=0)
    coded = [*instances, *roots, *crowds]
    if containment is not None:
        return annotate_coded(coded, size_hw, containment=containment)
    parents = parents_by_overlap([one.counts for one in instances], size_hw)
    return annotate_tree(
        [one.counts for one in (*instances, *roots)],
        [*parents, *[None] * len(roots)],
        size_hw,
        ignored=[one.counts for one in crowds],
        categories=[one.category for one in coded],
    )
