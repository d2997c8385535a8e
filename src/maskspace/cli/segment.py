"""`maskspace segment`: images -> regions or ranked proposals."""

import argparse
import io
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from maskspace.cli.frame import DEFAULT_MODEL, MODEL_HELP, complain, count, png, write_files

if TYPE_CHECKING:
    import numpy as np

    from maskspace.segmenter import Segmenter
    from maskspace.types import Prediction

DEFAULT_REGIONS = 24


def add(command: argparse.ArgumentParser) -> None:
    """Give a parser its options."""
    command.description = (
        "Segment images of 16x16 to 12 megapixels. For IMAGE x.jpg it writes x.labels.png and "
        "x.overlay.png, x.json (COCO, run lengths) or x.npz in DIR. A bad image is told in one "
        "line and does not keep the others from being written; the exit status is then 2."
    )
    command.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    number = command.add_mutually_exclusive_group()
    number.add_argument(
        "--regions",
        type=count,
        metavar="N",
        help=f"exactly N connected regions that cover the image (default {DEFAULT_REGIONS})",
    )
    number.add_argument(
        "--proposals",
        type=count,
        metavar="N",
        help="at most N ranked masks, which may overlap",
    )
    command.add_argument(
        "--on-top",
        choices=("smallest", "best"),
        default="smallest",
        help="which of several proposals at a pixel a label map shows (default smallest)",
    )
    command.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help=f"{MODEL_HELP} (default {DEFAULT_MODEL})",
    )
    command.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="folder to write to, made if missing"
    )
    command.add_argument(
        "--format",
        choices=sorted(WRITERS),
        default="png",
        help="png: label map, 8 bits to 255 labels and 16 above, and an overlay; "
        "coco: JSON with run lengths, boxes and areas in pixels, for proposals the id of the "
        "smallest one that holds each too, its parent; "
        "npz: labels (int32 h w), or masks (bool n h w) and scores (default png)",
    )
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Do what the options ask and return the exit status."""
    from maskspace.segmenter.loading import load

    model = load(options.model)
    stems = Counter(path.stem for path in options.images)
    status = 0
    for path in options.images:
        try:
            if stems[path.stem] > 1:
                raise ValueError(f"another image is also called {path.stem}; rename one of them")
            for written in _segment_one(model, path, options):
                print(written)
        except ValueError as error:
            message = str(error)
            status = complain(message if str(path) in message else f"{path}: {message}")
    return status


def _segment_one(model: "Segmenter", path: Path, options: argparse.Namespace) -> list[Path]:
    """Return the files written for one image: complete, or none at all."""
    from maskspace.segmenter import checked_image

    image = checked_image(path)
    if options.proposals:
        found = model.propose(image, limit=options.proposals)
    else:
        found = model.partition(image, regions=options.regions or DEFAULT_REGIONS)
    write = WRITERS[options.format]
    if options.format == "png":
        write = partial(write, best_on_top=options.on_top == "best")
    return write_files(write(options.out, path.name, image, found))


def _png_files(
    folder: Path,
    name: str,
    image: "np.ndarray",
    found: "np.ndarray | Prediction",
    *,
    best_on_top: bool,
) -> dict[Path, bytes]:
    import numpy as np

    from maskspace.masks import strings_to_label_map
    from maskspace.pictures import paint_labels

    if isinstance(found, np.ndarray):
        labels = found
    else:
        priority = "first" if best_on_top else "smallest"
        labels = strings_to_label_map(found.counts, found.size_hw, priority=priority)
    depth = np.uint8 if labels.max() <= 255 else np.uint16
    stem = Path(name).stem
    return {
        folder / f"{stem}.labels.png": png(labels.astype(depth)),
        folder / f"{stem}.overlay.png": png(paint_labels(image, labels)),
    }


def _coco_files(
    folder: Path, name: str, image: "np.ndarray", found: "np.ndarray | Prediction"
) -> dict[Path, bytes]:
    import numpy as np

    from maskspace.data.annotations import annotate, annotate_proposals

    size_hw = list(image.shape[:2])
    if isinstance(found, np.ndarray):  # one region at a time: all of them may not fit in memory
        marked = [
            replace(annotate(found[None] == label)[0], id=label)
            for label in range(1, int(found.max()) + 1)
        ]
    else:
        marked = annotate_proposals(found)
    annotations = [
        {
            "id": one.id,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": {"size": size_hw, "counts": one.counts},
            "area": one.area,
            "bbox": one.box_xywh,
            "score": one.score,
            "parent": one.parent,
        }
        for one in marked
    ]
    document = {
        "images": [{"id": 1, "file_name": name, "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "region"}],
        "annotations": annotations,
    }
    return {folder / f"{Path(name).stem}.json": json.dumps(document).encode()}


def _npz_files(
    folder: Path, name: str, image: "np.ndarray", found: "np.ndarray | Prediction"
) -> dict[Path, bytes]:
    import numpy as np

    file = io.BytesIO()
    if isinstance(found, np.ndarray):
        np.savez_compressed(file, labels=found)
    else:
        np.savez_compressed(file, masks=found.masks, scores=found.scores)
    return {folder / f"{Path(name).stem}.npz": file.getvalue()}


#: What each --format writes: folder, image's file name, image, label map or proposals -> files.
WRITERS: "dict[str, Callable[..., dict[Path, bytes]]]" = {
    "png": _png_files,
    "coco": _coco_files,
    "npz": _npz_files,
}
