"""Every reader of READERS against files of the same meaning in other codings, and doubtful ones.

Tables: LAYOUTS (readers), SAME and DOUBTFUL (codings of mask files), SPLIT_LAYOUTS (same names in
two splits), NUMBERS (ways to write numbers in JSON). A reader that is in no table fails here.
"""

import io
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from maskspace.data import READERS
from maskspace.data.drawn import is_drawn
from maskspace.data.readers.hqseg44k import SUBSETS
from maskspace.data.source import Source
from maskspace.masks.coded import encode

READ = sorted(name for name, reader in READERS.items() if not is_drawn(reader))
SIZE_HW = (12, 16)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)


def areas_of(*values: int) -> np.ndarray:
    """Return a map with the values in columns of four pixels."""
    return np.repeat(np.array(values, np.uint8), 4)[None].repeat(SIZE_HW[0], axis=0)


def png(image: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@dataclass(frozen=True)
class Layout:
    """How one image and its mask file are written.

    `values` are those of the mask file, None for readers without mask images. `refuses` names
    codings that this format makes doubtful, `differs` those that are other labels in it.
    """

    write: Callable[[Path, bytes], None]
    values: np.ndarray | None
    refuses: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)


def at(image: str, mask: str) -> Callable[[Path, bytes], None]:
    def write(root: Path, content: bytes) -> None:
        put(root / image, png(IMAGE, "JPEG" if image.endswith("jpg") else "PNG"))
        put(root / mask, content)

    return write


def lvis_pickle(root: Path, content: bytes) -> None:
    put(root / "val/images/000000000001.jpg", png(IMAGE, "JPEG"))
    masks = ([np.frombuffer(content, np.uint8)], [(0, 1), (0, 2)])
    put(root / "val/masks/000000000001.pickle", pickle.dumps(masks))
    node = {"000000000001": {"num_instance_masks": 2, "hierarchy": {0: None, 1: None}}}
    put(root / "val/hannotation.pickle", pickle.dumps(node))


def panoptic(root: Path, content: bytes) -> None:
    put(root / "val/1.jpg", png(IMAGE, "JPEG"))
    put(root / "annotations/panoptic_val/1.png", content)
    put(root / "annotations/panoptic_val.json", json.dumps(panoptic_json()))


def panoptic_json() -> dict:
    segments = [{"id": v * 65793, "category_id": 1, "iscrowd": 0, "area": 48} for v in (1, 2)]
    one = {"image_id": 1, "file_name": "1.png", "segments_info": segments}
    image = {"id": 1, "file_name": "1.jpg", "height": 12, "width": 16}
    return {"images": [image], "annotations": [one], "categories": []}


def hqseg(root: Path, content: bytes) -> None:
    for number, subset in enumerate(SUBSETS.values()):
        put(root / subset.images / f"{number}.jpg", png(IMAGE, "JPEG"))
        put(root / subset.masks / f"{number}.png", content)


def coco_json() -> dict:
    ring = [4, 0, 8, 0, 8, 12, 4, 12]
    image = {"id": 1, "file_name": "1.jpg", "height": 12, "width": 16}
    box = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [ring]}
    other = {"size": [12, 16], "counts": [96, 48, 48]}
    runs = {"id": 2, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": other}
    return {"images": [image], "annotations": [box, runs], "categories": []}


def coco(root: Path, content: bytes) -> None:
    put(root / "val/1.jpg", png(IMAGE, "JPEG"))
    put(root / "annotations/instances_val.json", content or json.dumps(coco_json()))


def sa1b_json() -> dict:
    mask = areas_of(0, 1, 0, 0).astype(bool)
    coded = {"size": [12, 16], "counts": encode(mask[None])[0]}
    one = {"id": 1, "segmentation": coded, "area": 48, "bbox": [4, 0, 3, 11], "predicted_iou": 0.5}
    image = {"image_id": 1, "width": 16, "height": 12, "file_name": "sa_1.jpg"}
    return {"image": image, "annotations": [one]}


def sa1b(root: Path, content: bytes) -> None:
    put(root / "sa_1.jpg", png(IMAGE, "JPEG"))
    put(root / "sa_1.json", content or json.dumps(sa1b_json()))


LABELS, BINARY = areas_of(0, 1, 2, 0), areas_of(0, 255, 255, 0)

LAYOUTS = {
    "bsds500": Layout(at("val/images/1.jpg", "val/groundTruth/1_a0.png"), areas_of(1, 2, 3, 1)),
    "camvid": Layout(at("val/1.png", "valannot/1.png"), areas_of(0, 1, 2, 11)),
    "coco": Layout(coco, None),
    "coco_lvis": Layout(lvis_pickle, LABELS),
    "coco_panoptic": Layout(panoptic, np.dstack([LABELS] * 3), differs=("16 bits", "32 bits")),
    "davis": Layout(at("JPEGImages/480p/run/00000.jpg", "Annotations/480p/run/00000.png"), LABELS),
    "davis_interactive": Layout(at("img/1.jpg", "gt/1.png"), BINARY),
    "dsb2018": Layout(at("val/images/1.png", "val/labels/1.png"), LABELS),
    "folder": Layout(
        at("images/1.jpg", "labels/1.png"), LABELS, refuses=("greys in another order",)
    ),
    "grabcut": Layout(at("data_GT/1.jpg", "boundary_GT/1.png"), areas_of(0, 128, 255, 0)),
    "hqseg44k": Layout(hqseg, BINARY, options={"subsets": ("coift",)}),
    "hypersim": Layout(lambda root, content: None, None),
    "sa1b": Layout(sa1b, None),
    "sav": Layout(at("JPEGImages_24fps/v/00000.jpg", "Annotations_6fps/v/000/00000.png"), BINARY),
}
#: The same kinds of mask in a folder of binary masks.
MORE = {"folder of masks": Layout(at("images/1.jpg", "masks/1.png"), BINARY)}
WITH_MASKS = {n: one for n, one in (LAYOUTS | MORE).items() if one.values is not None}


def grey_palette(values: np.ndarray, order: np.ndarray) -> Image.Image:
    """Return greys as indices into a palette in which value v is at order[v]."""
    image = Image.fromarray(order[values].astype(np.uint8), mode="P")
    palette = np.zeros(256, np.uint8)
    palette[order] = np.arange(256)
    image.putpalette(palette.repeat(3).tolist())
    return image


def with_alpha(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    colours = values if values.ndim == 3 else values[..., None].repeat(3, axis=2)
    return np.dstack([colours, alpha.astype(np.uint8)])


def plane(values: np.ndarray) -> np.ndarray:
    return values[..., 0] if values.ndim == 3 else values


def texted(values: np.ndarray) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "a" * (2 << 20), zip=True)
    return png(values, pnginfo=text, icc_profile=b"\0" * (2 << 20))


OPAQUE = np.full(SIZE_HW, 255)
SHUFFLED = np.roll(np.arange(256), 3)

#: Codings of a mask's values that mean the same.
SAME: dict[str, Callable[[np.ndarray], bytes]] = {
    "greys in order": lambda v: png(grey_palette(plane(v), np.arange(256))),
    "greys in another order": lambda v: png(grey_palette(plane(v), SHUFFLED)),
    "three equal channels": lambda v: png(with_alpha(v, OPAQUE)[..., :3]),
    "opaque": lambda v: png(with_alpha(v, OPAQUE)),
    "clear where black": lambda v: png(with_alpha(v, 255 * (plane(v) > 0))),
    "16 bits": lambda v: png(plane(v).astype(np.uint16)),
    "32 bits": lambda v: png(plane(v).astype(np.int32), "TIFF"),
    "big texts and profiles": texted,
    "bytes behind the end": lambda v: png(v) + b"more",
}

#: Codings that could mean two things.
DOUBTFUL: dict[str, Callable[[np.ndarray], bytes]] = {
    "clear where it is marked": lambda v: png(with_alpha(v, 255 * (plane(v) == plane(v).min()))),
    "half clear": lambda v: png(with_alpha(v, np.full(SIZE_HW, 128))),
    "clear throughout": lambda v: png(with_alpha(v, np.zeros(SIZE_HW))),
    "two pages": lambda v: png(
        Image.fromarray(plane(v)), "TIFF", save_all=True, append_images=[Image.fromarray(plane(v))]
    ),
    "turned by EXIF": lambda v: png(plane(v), exif=turned_exif()),
    "inks": lambda v: png(Image.fromarray(with_alpha(v, OPAQUE)[..., :3]).convert("CMYK"), "TIFF"),
}


def turned_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def read(name: str, root: Path) -> Source:
    layout = (LAYOUTS | MORE)[name]
    source = READERS[name.split()[0]](str(root), seed=0, limit=None, **layout.options)
    assert isinstance(source, Source)
    return source


def masks(name: str, root: Path) -> list[tuple[str, bool]]:
    return sorted(
        (one.counts, one.ignore) for sample in read(name, root) for one in sample.annotations
    )


def test_every_reader_is_in_the_tables() -> None:
    assert sorted(LAYOUTS) == READ


@pytest.mark.parametrize("coding", SAME)
@pytest.mark.parametrize("name", WITH_MASKS)
def test_another_coding_of_the_same_meaning_gives_the_same_masks(
    tmp_path: Path, name: str, coding: str
) -> None:
    layout = WITH_MASKS[name]
    assert layout.values is not None
    layout.write(tmp_path / "a", png(layout.values))
    expected = masks(name, tmp_path / "a")
    assert expected
    layout.write(tmp_path / "b", SAME[coding](layout.values))
    if coding in layout.refuses:
        with pytest.raises(ValueError, match=r"\.png: ") as error:
            masks(name, tmp_path / "b")
        assert "\n" not in str(error.value)
    elif coding in layout.differs:  # one channel is another number than three of it
        with pytest.raises(ValueError, match="segment"):
            masks(name, tmp_path / "b")
    else:
        assert masks(name, tmp_path / "b") == expected


@pytest.mark.parametrize("coding", DOUBTFUL)
@pytest.mark.parametrize("name", WITH_MASKS)
def test_a_coding_that_could_mean_two_things_is_an_error(
    tmp_path: Path, name: str, coding: str
) -> None:
    layout = WITH_MASKS[name]
    assert layout.values is not None
    layout.write(tmp_path, DOUBTFUL[coding](layout.values))
    with pytest.raises(ValueError, match=r"(1|9|00000)[^/]*$") as error:
        masks(name, tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


#: Mask files of two splits by the same name: image and mask of a split, by reader.
SPLIT_LAYOUTS: dict[str, Callable[[Path, str], None]] = {
    "bsds500": lambda root, s: at(f"{s}/images/1.jpg", f"{s}/groundTruth/1_a0.png")(
        root, png(areas_of(1, 2, 3, 1))
    ),
    "camvid": lambda root, s: at(f"{s}/1.png", f"{s}annot/1.png")(root, png(LABELS)),
    "coco": lambda root, s: split_coco(root, s),
    "dsb2018": lambda root, s: at(f"{s}/images/1.png", f"{s}/labels/1.png")(root, png(LABELS)),
    "folder": lambda root, s: at(f"{s}/images/1.jpg", f"{s}/labels/1.png")(root, png(LABELS)),
}


def split_coco(root: Path, split: str) -> None:
    put(root / split / "1.jpg", png(IMAGE, "JPEG"))
    put(root / f"annotations/instances_{split}.json", json.dumps(coco_json()))


@pytest.mark.parametrize("name", SPLIT_LAYOUTS)
def test_the_same_names_in_two_splits_are_two_images_of_their_own(
    tmp_path: Path, name: str
) -> None:
    for split in ("train", "val"):
        SPLIT_LAYOUTS[name](tmp_path, split)
    source = READERS[name](str(tmp_path), seed=0, limit=None)
    assert isinstance(source, Source)
    assert sorted(source.keys) == ["train-1", "val-1"]
    for sample, key in zip(source, source.keys, strict=True):
        assert sample.key == key and sample.split == key.split("-")[0]
        assert sample.split in sample.source


@pytest.mark.parametrize("name", SPLIT_LAYOUTS)
def test_val_never_looks_at_train(tmp_path: Path, name: str) -> None:
    for split in ("train", "val"):
        SPLIT_LAYOUTS[name](tmp_path, split)
    before = READERS[name](str(tmp_path), seed=0, limit=None, split="val")[0]
    for path in tmp_path.rglob("*"):
        if path.is_file() and "train" in str(path.relative_to(tmp_path)):
            path.write_bytes(b"broken")
    assert READERS[name](str(tmp_path), seed=0, limit=None, split="val")[0] == before


@pytest.mark.parametrize("name", sorted(LAYOUTS.keys() - {"hypersim"}))
def test_suffixes_in_capitals_are_read(tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    layout.write(tmp_path / "a", b"" if layout.values is None else png(layout.values))
    expected = masks(name, tmp_path / "a")
    for path in (tmp_path / "a").rglob("*"):
        if path.suffix in (".jpg", ".png") and name != "sav":
            path.rename(path.with_suffix(path.suffix.upper()))
    if name in ("coco", "coco_panoptic"):  # their JSON names the files
        for path in (tmp_path / "a").rglob("*.json"):
            path.write_text(path.read_text().replace(".jpg", ".JPG").replace(".png", ".PNG"))
    assert masks(name, tmp_path / "a") == expected


def each_number(value: object, change: Callable[[float], object]) -> object:
    if isinstance(value, dict):
        return {key: each_number(one, change) for key, one in value.items()}
    if isinstance(value, list):
        return [each_number(one, change) for one in value]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return change(value) if is_number else value


#: Ways in which tools write numbers and flags.
NUMBERS: dict[str, Callable[[float], object]] = {
    "text": str,
    "text with a point": lambda number: f"{float(number)}",
    "a point": float,
}
JSONS = {
    "coco": (coco_json, "annotations/instances_val.json"),
    "sa1b": (sa1b_json, "sa_1.json"),
    "coco_panoptic": (panoptic_json, "annotations/panoptic_val.json"),
}


@pytest.mark.parametrize("way", NUMBERS)
@pytest.mark.parametrize("name", JSONS)
def test_numbers_in_json_mean_the_same_as_text_and_with_a_point(
    tmp_path: Path, name: str, way: str
) -> None:
    layout, (document, place) = LAYOUTS[name], JSONS[name]
    layout.write(tmp_path, b"" if layout.values is None else png(layout.values))
    expected = read(name, tmp_path)[0]
    for mark in ("", "\ufeff"):
        text = mark + json.dumps(each_number(document(), NUMBERS[way]))
        (tmp_path / place).write_text(text, encoding="utf-8")
        assert read(name, tmp_path)[0] == expected


BAD = [None, {}, {"id": 9}, {"id": 9, "image_id": 1, "segmentation": []}, 3, "x"]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", ["coco", "sa1b"])
def test_one_bad_annotation_leaves_the_good_ones_and_is_counted(
    tmp_path: Path, name: str, bad: object
) -> None:
    document, place = JSONS[name]
    LAYOUTS[name].write(tmp_path, b"")
    expected = read(name, tmp_path)[0]
    listed = document()
    listed["annotations"].append(bad)
    (tmp_path / place).write_text(json.dumps(listed))
    source = read(name, tmp_path)
    assert source[0].annotations == expected.annotations
    told = [*source[0].left_out, *(note for note in source.notes if "left out" in note)]
    assert len(told) == 1
